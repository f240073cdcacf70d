//! Durations and sizes, kept as written.

use std::fmt;
use std::str::FromStr;

use crate::config::Invalid;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// A retention period in Prometheus' format for durations (`15d`, `168h`, `2w`, `1d12h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetentionPeriod {
    seconds: u64,
}

impl RetentionPeriod {
    /// From seconds.
    pub fn from_seconds(seconds: u64) -> Self {
        RetentionPeriod { seconds }
    }

    /// Length in seconds.
    pub fn seconds(self) -> u64 {
        self.seconds
    }

    /// Whole hours, rounded down, as `168h`: the only unit that every version of Loki reads.
    pub fn as_hours(self) -> String {
        format!("{}h", self.seconds / HOUR)
    }
}

/// The units of prometheus/common model/time.go that apply to retention.
const UNITS: [(&str, u64); 6] = [("y", 365 * DAY), ("w", 7 * DAY), ("d", DAY), ("h", HOUR), ("m", 60), ("s", 1)];

impl FromStr for RetentionPeriod {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let expected = || Invalid("expected a duration such as 15d, 168h or 2w".into());
        let mut rest = text;
        let mut seconds: u64 = 0;
        let mut last_unit = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
            let amount: u64 = rest[..digits].parse().map_err(|_| expected())?;
            let (name, unit) = *UNITS.iter().find(|(name, _)| rest[digits..].starts_with(name)).ok_or_else(expected)?;
            if unit >= last_unit || rest[digits..].starts_with("ms") {
                return Err(expected());
            }
            last_unit = unit;
            seconds = amount.checked_mul(unit).and_then(|more| seconds.checked_add(more)).ok_or_else(expected)?;
            rest = &rest[digits + name.len()..];
        }
        match seconds {
            0 => Err(expected()),
            under if under < 2 * HOUR => Err(Invalid("expected at least 2h".into())),
            over if over > 100 * 365 * DAY => Err(Invalid("expected at most 100 years".into())),
            seconds => Ok(RetentionPeriod { seconds }),
        }
    }
}

impl fmt::Display for RetentionPeriod {
    /// In the largest unit without a remainder: `15d`, `36h`, `90m`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) = UNITS
            .iter()
            .filter(|(name, _)| !matches!(*name, "y" | "w"))
            .find(|(_, unit)| self.seconds.is_multiple_of(*unit))
            .unwrap_or(&UNITS[5]);
        write!(formatter, "{}{name}", self.seconds / unit)
    }
}

/// A Kubernetes quantity of bytes, e.g. `50Gi`, at least 1Gi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    bytes: u64,
}

impl Quantity {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Suffixes of apimachinery's resource.Quantity for sizes of at least a kilobyte.
const SUFFIXES: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

impl FromStr for Quantity {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let expected = || Invalid("expected a size such as 50Gi".into());
        let (digits, unit) = SUFFIXES
            .iter()
            .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|digits| (digits, *unit)))
            .unwrap_or((text, 1));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(expected());
        }
        let amount: u64 = digits.parse().map_err(|_| expected())?;
        match amount.checked_mul(unit).ok_or_else(expected)? {
            small if small < 1 << 30 => Err(Invalid("expected at least 1Gi, such as 50Gi".into())),
            bytes => Ok(Quantity { text: text.to_owned(), bytes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn retention_is_parsed_as_by_prometheus() {
        for (text, seconds, shown) in
            [("15d", 15 * DAY, "15d"), ("168h", 7 * DAY, "7d"), ("2w", 14 * DAY, "14d"), ("1d12h", 36 * HOUR, "36h")]
        {
            let period: RetentionPeriod = text.parse().unwrap();
            assert_eq!((period.seconds(), period.to_string().as_str()), (seconds, shown));
        }
        for wrong in [
            "",
            "7",
            "d",
            "7 d",
            "-7d",
            "1.5d",
            "7 days",
            "1h1d",
            "0d",
            "30m",
            "500ms",
            "1mo",
            "99999999999999999999d",
            "200y",
        ] {
            assert!(wrong.parse::<RetentionPeriod>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn quantities_know_their_bytes() {
        assert_eq!("50Gi".parse::<Quantity>().unwrap().bytes(), 50 << 30);
        assert_eq!("2G".parse::<Quantity>().unwrap().bytes(), 2_000_000_000);
        for wrong in ["", "Gi", "50", "50 Gi", "50GB", "1.5Gi", "-1Gi", "512Mi", "99999999999Ti"] {
            assert!(wrong.parse::<Quantity>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(seconds in 7200_u64..10_000_000) {
            let period = RetentionPeriod::from_seconds(seconds);
            prop_assert_eq!(period.to_string().parse::<RetentionPeriod>().unwrap(), period);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = (text.parse::<RetentionPeriod>(), text.parse::<Quantity>());
        }
    }
}
