//! Volumes to expand: the claims of a StatefulSet and of the Prometheus operator's resources do not follow a changed
//! template (kubernetes/enhancements#661, prometheus-operator#2357). Pure.

use serde_json::Value;

use crate::cluster::quantity;
use crate::plan::{PlanError, Replacement};

/// An existing claim.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) size: String,
    /// Its StorageClass, and whether that allows expansion.
    pub(super) class: (String, bool),
}

/// A volume claim template, or a claim of a chart.
#[derive(Clone, Debug)]
pub struct ClaimTemplate {
    names: Names,
    size: Value,
    /// Its StorageClass; `None`: the cluster's default.
    pub class: Option<String>,
    /// Its access modes.
    pub modes: Vec<String>,
}

impl ClaimTemplate {
    fn new(names: Names, claim: &Value) -> Option<ClaimTemplate> {
        let modes = claim.pointer("/spec/accessModes").and_then(Value::as_array).into_iter().flatten();
        Some(ClaimTemplate {
            names,
            size: claim.pointer("/spec/resources/requests/storage")?.clone(),
            class: claim.pointer("/spec/storageClassName").and_then(Value::as_str).map(str::to_owned),
            modes: modes.filter_map(|mode| mode.as_str().map(str::to_owned)).collect(),
        })
    }

    /// Whether it is the template of this claim.
    pub fn fits(&self, claim: &str) -> bool {
        self.names.fit(claim)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Names {
    /// This prefix, then a pod's ordinal.
    Numbered(String),
    /// A claim that the chart itself contains.
    One(String),
}

impl Names {
    fn fit(&self, claim: &str) -> bool {
        match self {
            Names::One(name) => claim == name,
            Names::Numbered(prefix) => claim
                .strip_prefix(prefix.as_str())
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())),
        }
    }
}

/// The claims in a release's namespace that are expanded with an object, each with its previous size. `old` is `null`
/// for a new object: claims that an uninstall retained are expanded, too.
pub(super) fn growth(old: &Value, new: &Value, claims: &[Claim]) -> Result<Vec<(Replacement, String)>, PlanError> {
    let before = claim_templates(old);
    let mut growing = Vec::new();
    for template in claim_templates(new) {
        let Some(requested) = quantity(&template.size) else { continue };
        let current = before.iter().find(|other| other.names == template.names).map(|other| &other.size);
        if let Some(current) = current.filter(|size| quantity(size).is_some_and(|size| size > requested)) {
            let text = |path: &str| new.pointer(path).and_then(Value::as_str).unwrap_or_default();
            return Err(PlanError::Shrink {
                claim: format!("{} {}", text("/kind"), text("/metadata/name")),
                current: words(current),
                requested: words(&template.size),
            });
        }
        let is_small = |claim: &&Claim| {
            template.names.fit(&claim.name) && quantity(&claim.size.clone().into()).is_some_and(|size| size < requested)
        };
        for claim in claims.iter().filter(is_small) {
            let size = words(&template.size);
            if !claim.class.1 {
                let class = claim.class.0.clone();
                return Err(PlanError::NotExpandable { claim: claim.name.clone(), requested: size, class });
            }
            let reported = format!("PersistentVolumeClaim {} {} -> {size}", claim.name, claim.size);
            let (namespace, name) = (claim.namespace.clone(), claim.name.clone());
            growing.push((Replacement::ExpandClaim { namespace, name, size }, reported));
        }
    }
    Ok(growing)
}

fn words(size: &Value) -> String {
    size.as_str().map_or_else(|| size.to_string(), str::to_owned)
}

/// A StatefulSet's claims are called TEMPLATE-SET-N; the operator creates the sets `prometheus-NAME` and
/// `alertmanager-NAME` with the template `SET-db` (prometheus-operator pkg/prometheus/server, VolumeClaimName).
pub fn claim_templates(object: &Value) -> Vec<ClaimTemplate> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let of_operator = |set: String| {
        let claim = object.pointer("/spec/storage/volumeClaimTemplate")?;
        let template = claim.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
        let template = template.unwrap_or_else(|| format!("{set}-db"));
        ClaimTemplate::new(Names::Numbered(format!("{template}-{set}-")), claim)
    };
    match object["kind"].as_str() {
        Some("StatefulSet") => {
            let claims = object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array).into_iter().flatten();
            let template = |claim: &Value| {
                let template = claim.pointer("/metadata/name")?.as_str()?;
                ClaimTemplate::new(Names::Numbered(format!("{template}-{name}-")), claim)
            };
            claims.filter_map(template).collect()
        }
        Some("Prometheus") => of_operator(format!("prometheus-{name}")).into_iter().collect(),
        Some("Alertmanager") => of_operator(format!("alertmanager-{name}")).into_iter().collect(),
        Some("PersistentVolumeClaim") => ClaimTemplate::new(Names::One(name.to_owned()), object).into_iter().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(size: &str) -> Value {
        let claim = json!({"metadata": {"name": "storage"}, "spec": {"resources": {"requests": {"storage": size}}}});
        json!({"kind": "StatefulSet", "metadata": {"name": "loki"}, "spec": {"volumeClaimTemplates": [claim]}})
    }

    fn claim(name: &str, size: &str, may_grow: bool) -> Claim {
        Claim { namespace: "m".into(), name: name.into(), size: size.into(), class: ("standard".into(), may_grow) }
    }

    #[test]
    fn the_claims_of_a_larger_template_are_expanded() {
        let claims = [claim("storage-loki-0", "50Gi", true), claim("storage-other-0", "1Gi", true)];
        let growing = growth(&set("50Gi"), &set("100Gi"), &claims).unwrap();
        let reported: Vec<&str> = growing.iter().map(|(_, reported)| reported.as_str()).collect();
        assert_eq!(reported, ["PersistentVolumeClaim storage-loki-0 50Gi -> 100Gi"]);
        assert!(growth(&set("50Gi"), &set("50Gi"), &claims).unwrap().is_empty());
    }

    #[test]
    fn a_larger_claim_is_unchanged_and_no_claim_shrinks() {
        assert!(growth(&set("50Gi"), &set("60Gi"), &[claim("storage-loki-0", "80Gi", true)]).unwrap().is_empty());
        assert!(matches!(growth(&set("50Gi"), &set("10Gi"), &[]), Err(PlanError::Shrink { .. })));
        let stiff = [claim("storage-loki-0", "50Gi", false)];
        assert!(matches!(growth(&set("50Gi"), &set("60Gi"), &stiff), Err(PlanError::NotExpandable { .. })));
    }

    #[test]
    fn only_claims_of_the_template_are_expanded_also_retained_ones() {
        let claims = [claim("storage-loki-0", "50Gi", true), claim("storage-loki-backup-0", "1Gi", true)];
        assert_eq!(growth(&Value::Null, &set("60Gi"), &claims).unwrap().len(), 1);
        assert!(growth(&Value::Null, &set("10Gi"), &claims).unwrap().is_empty());
        let own = |size: &str| json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "grafana"}, "spec": {"resources": {"requests": {"storage": size}}}});
        assert_eq!(growth(&own("10Gi"), &own("12Gi"), &[claim("grafana", "10Gi", true)]).unwrap().len(), 1);
        assert!(matches!(growth(&own("10Gi"), &own("2Gi"), &[]), Err(PlanError::Shrink { .. })));
    }

    #[test]
    fn the_operators_claims_have_its_names() {
        let of = |size: &str| {
            let claim = json!({"spec": {"resources": {"requests": {"storage": size}}}});
            json!({"kind": "Prometheus", "metadata": {"name": "kps"}, "spec": {"storage": {"volumeClaimTemplate": claim}}})
        };
        let claims = [claim("prometheus-kps-db-prometheus-kps-0", "50Gi", true)];
        assert_eq!(growth(&of("50Gi"), &of("70Gi"), &claims).unwrap().len(), 1);
    }
}
