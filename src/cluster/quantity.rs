//! Quantities of Kubernetes (`500m`, `1Gi`), parsed as apimachinery pkg/api/resource/quantity.go does, and the fields
//! that hold one. Pure.

use std::fmt;
use std::ops::{Add, Mul, Sub};

use num_bigint::BigInt;
use serde_json::Value;

/// Powers of 10 above nano.
const DECIMAL: [(&str, u32); 10] =
    [("E", 27), ("P", 24), ("T", 21), ("G", 18), ("M", 15), ("k", 12), ("", 9), ("m", 6), ("u", 3), ("n", 0)];
/// Powers of 2.
const BINARY: [(&str, u32); 6] = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
/// Limit of the exponent: a few bytes of text would otherwise take gigabytes.
const LARGEST_EXPONENT: i32 = 1000;

/// An exact amount. Compared by amount, independent of the notation.
#[derive(Clone, Debug)]
pub struct Quantity {
    nanos: BigInt,
    /// Displayed with a suffix of powers of 1024.
    is_binary: bool,
}

impl Quantity {
    /// Rounded up to a billionth, away from zero. `None`: the API server rejects it, or its exponent is beyond 1000.
    pub fn parse(text: &str) -> Option<Quantity> {
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, rest) = split_digits(unsigned);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        // The API server parses a suffix alone as zero; here it is an error.
        let digits: BigInt = format!("{whole}{fraction}").parse().ok()?;
        let binary = BINARY.iter().find(|(name, _)| *name == suffix).map(|(_, power)| *power);
        let power = match binary {
            Some(_) => 9,
            None => power_above_nano(suffix)?,
        };
        let scaled = digits << binary.unwrap_or(0);
        let places = power - i32::try_from(fraction.len()).ok()?;
        let ten = |power: u32| BigInt::from(10).pow(power);
        let mut nanos = match u32::try_from(places) {
            Ok(places) => scaled * ten(places),
            Err(_) => {
                let unit = ten(places.unsigned_abs());
                (scaled + &unit - 1) / unit
            }
        };
        if binary.is_some() {
            nanos = nanos.min(BigInt::from(i64::MAX) * ten(9));
        }
        Some(Quantity { nanos: if is_negative { -nanos } else { nanos }, is_binary: binary.is_some() })
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// `E` alone is a suffix; with digits after it, an exponent.
fn power_above_nano(suffix: &str) -> Option<i32> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return i32::try_from(*power).ok();
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    (-LARGEST_EXPONENT..=LARGEST_EXPONENT).contains(&exponent).then_some(exponent + 9)
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nanos == other.nanos
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<std::cmp::Ordering> {
        self.nanos.partial_cmp(&other.nanos)
    }
}

impl Add for Quantity {
    type Output = Quantity;

    /// Displayed as the first amount that is not zero, as by Quantity.Add of apimachinery.
    fn add(self, other: Quantity) -> Quantity {
        let is_binary = if self.nanos == BigInt::ZERO { other.is_binary } else { self.is_binary };
        Quantity { nanos: self.nanos + other.nanos, is_binary }
    }
}

impl Sub for Quantity {
    type Output = Quantity;

    fn sub(self, other: Quantity) -> Quantity {
        Quantity { nanos: self.nanos - other.nanos, ..self }
    }
}

impl Mul<u64> for Quantity {
    type Output = Quantity;

    fn mul(self, count: u64) -> Quantity {
        Quantity { nanos: self.nanos * count, ..self }
    }
}

impl Default for Quantity {
    fn default() -> Quantity {
        Quantity::from(0)
    }
}

impl From<u64> for Quantity {
    fn from(count: u64) -> Quantity {
        Quantity { nanos: BigInt::from(count) * 1_000_000_000, is_binary: false }
    }
}

impl fmt::Display for Quantity {
    /// With the largest suffix that leaves an integer.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zero = BigInt::ZERO;
        let binary = BINARY.iter().filter(|_| self.is_binary);
        let binary = binary.map(|(suffix, power)| (*suffix, BigInt::from(1_000_000_000) << *power));
        let decimal = DECIMAL.iter().map(|(suffix, power)| (*suffix, BigInt::from(10).pow(*power)));
        let mut units = binary.chain(decimal);
        match units.find(|(_, unit)| self.nanos != zero && &self.nanos % unit == zero) {
            Some((suffix, unit)) => write!(formatter, "{}{suffix}", &self.nanos / unit),
            None => formatter.write_str("0"),
        }
    }
}

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

/// The quantity of a value; `None`: it has none.
pub fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => None,
    }
}

/// Whether two values are the same quantity.
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
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_quantity_is_parsed_as_in_apimachinery() {
        for (text, same) in [
            ("2E", "2000000000000000000"),
            ("1E3", "1k"),
            ("1e+3", "1000"),
            ("1e-3", "1m"),
            ("1.e3", "1000"),
            (".5", "500m"),
            ("+1.50Gi", "1536Mi"),
            ("0.1n", "1n"),
            ("-0.1n", "-1n"),
            ("1.0000000001", "1000000001n"),
            ("1e-1000", "1n"),
            ("0e-1000", "0"),
            ("9007199254740993", "9007199254740.993k"),
            ("8Ei", "9223372036854775807"),
            ("-99Ei", "-9223372036854775807"),
        ] {
            assert_eq!(Quantity::parse(text), Some(Quantity::parse(same).unwrap()), "{text}");
        }
        assert!(Quantity::parse("10E") > Quantity::parse("9Ei"), "only binary suffixes are capped");
        for text in [
            "",
            "+",
            ".",
            "-.",
            "Gi",
            "E",
            "e3",
            "1e",
            "1e+",
            "1Ee3",
            "1i",
            "1K",
            "1 Gi",
            " 1",
            "1Gi ",
            "--1",
            "+-1",
            "1.2.3",
            "1e1001",
            "1e-1001",
            "1e99999999999999999999",
            "1_0",
            "\u{661}",
            "0x10",
            "1e3.5",
            "1Gi3",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_quantity_is_shown_in_the_largest_unit_that_leaves_an_integer() {
        for (text, shown) in [
            ("1536Mi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("0.5Ki", "512"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1e3", "1k"),
            ("1e30", "1000000000000E"),
            ("-2048Ki", "-2Mi"),
            ("0Gi", "0"),
            ("0.1n", "1n"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), shown);
        }
        let gi = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!((gi("1Gi") + gi("512Mi")).to_string(), "1536Mi");
        assert_eq!((gi("1Gi") - gi("512Mi")).to_string(), "512Mi");
        assert_eq!((gi("250m") * 4 + Quantity::from(2)).to_string(), "3");
    }

    proptest! {
        #[test]
        fn any_text_is_a_quantity_or_none(text in any::<String>(), near in "[-+]?[0-9.]{0,30}[eEinumkKMGTP]{0,2}[-+]?[0-9]{0,5}") {
            for text in [text, near] {
                if let Some(read) = Quantity::parse(&text) {
                    prop_assert_eq!(Quantity::parse(&read.to_string()), Some(read));
                }
            }
        }

        #[test]
        fn quantities_compare_as_their_amounts(one in any::<i64>(), other in any::<i64>(), unit in 0..DECIMAL.len()) {
            let read = |amount: i64| Quantity::parse(&format!("{amount}{}", DECIMAL[unit].0)).unwrap();
            prop_assert_eq!(read(one).partial_cmp(&read(other)), one.partial_cmp(&other));
            prop_assert_eq!(read(one) + read(other) - read(other), read(one));
        }
    }

    #[test]
    fn a_quantity_has_several_notations() {
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
    fn the_path_decides_whether_a_field_is_a_quantity() {
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
