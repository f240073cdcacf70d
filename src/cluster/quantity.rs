//! Quantities of Kubernetes (`500m`, `1Gi`; apimachinery pkg/api/resource), and the fields that hold one. Pure.

use kube_quantity::ParsedQuantity;
use serde_json::Value;

/// Maps of resource names to quantities, each with the field above it; `""`: any field (k8s.io/api core/v1:
/// ResourceRequirements, PersistentVolumeSpec, ResourceQuotaSpec, LimitRangeItem, PodSpec.overhead; node/v1 Overhead).
const MAPS: [(&str, &str); 11] = [
    ("resources", "limits"),
    ("resources", "requests"),
    ("spec", "capacity"),
    ("spec", "hard"),
    ("spec", "overhead"),
    ("overhead", "podFixed"),
    ("limits", "default"),
    ("limits", "defaultRequest"),
    ("limits", "max"),
    ("limits", "min"),
    ("limits", "maxLimitRequestRatio"),
];

/// Fields that are a quantity themselves (core/v1 EmptyDirVolumeSource, ResourceFieldSelector; autoscaling/v2
/// MetricTarget).
const FIELDS: [(&str, &str); 4] =
    [("emptyDir", "sizeLimit"), ("resourceFieldRef", "divisor"), ("target", "averageValue"), ("target", "value")];

/// A quantity; `None`: the value is none.
pub fn quantity(value: &Value) -> Option<ParsedQuantity> {
    match value {
        // The crate takes a suffix alone for zero; the API server refuses it.
        Value::String(text) if text.contains(|c: char| c.is_ascii_digit()) => {
            ParsedQuantity::try_from(text.as_str()).ok()
        }
        Value::Number(number) => ParsedQuantity::try_from(number.to_string()).ok(),
        _ => None,
    }
}

/// Whether two values are the same quantity, written in whatever way.
pub fn same_quantity(one: &Value, other: &Value) -> bool {
    matches!((quantity(one), quantity(other)), (Some(one), Some(other)) if one == other)
}

/// Whether the field at the end of a path of keys (list entries have none) holds a quantity.
pub fn holds_quantity(path: &[&str]) -> bool {
    let is = |known: &[(&str, &str)], above: Option<&&str>, field: &str| {
        above.is_some_and(|above| known.contains(&(*above, field)))
    };
    match path {
        [.., above, map, _] if is(&MAPS, Some(above), map) => true,
        [.., above, field] => is(&FIELDS, Some(above), field),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_quantity_may_be_written_in_many_ways() {
        for (one, other, same) in [
            (json!("1000m"), json!(1), true),
            (json!(0.5), json!("500m"), true),
            (json!("50Gi"), json!("53687091200"), true),
            (json!("50Gi"), json!("53687091201"), false),
            (json!("1G"), json!("1Gi"), false),
            (json!("1e3"), json!("1k"), true),
            (json!("123456789"), json!("123456790"), false),
            (json!("1.10"), json!("1.1"), true),
            (json!("Gi"), json!("G"), false),
            (json!(true), json!(1), false),
        ] {
            assert_eq!(same_quantity(&one, &other), same, "{one} {other}");
        }
    }

    #[test]
    fn the_place_reports_whether_a_field_is_a_quantity() {
        for path in [
            "spec.template.spec.containers.resources.limits.cpu",
            "spec.volumeClaimTemplates.spec.resources.requests.storage",
            "resources.requests.memory",
            "spec.capacity.storage",
            "spec.hard.pods",
            "spec.overhead.memory",
            "overhead.podFixed.cpu",
            "spec.limits.defaultRequest.cpu",
            "volumes.emptyDir.sizeLimit",
            "valueFrom.resourceFieldRef.divisor",
            "metrics.resource.target.averageValue",
        ] {
            assert!(holds_quantity(&path.split('.').collect::<Vec<_>>()), "{path}");
        }
        for path in [
            "data.limits",
            "data.cpu",
            "metadata.annotations.cpu",
            "metadata.labels.storage",
            "containers.env.value",
            "containers.resources.claims.name",
            "spec.limits.type",
            "sizeLimit",
            "cpu",
            "",
        ] {
            assert!(!holds_quantity(&path.split('.').collect::<Vec<_>>()), "{path}");
        }
    }
}
