//! Durations and sizes, kept as written.

use std::fmt;
use std::str::FromStr;

use crate::config::Invalid;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// How long a session lasts: minutes, hours or days (`45m`, `8h`, `2d`), from 5 minutes to the 7 days that are
/// oauth2-proxy's default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionLifetime {
    minutes: u64,
}

impl Default for SessionLifetime {
    fn default() -> Self {
        SessionLifetime { minutes: 8 * 60 }
    }
}

impl FromStr for SessionLifetime {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let expected = || Invalid("expected a duration from 5m to 7d such as 45m, 8h or 2d".into());
        let (digits, unit) = [("m", 1), ("h", 60), ("d", 24 * 60)]
            .into_iter()
            .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|digits| (digits, unit)))
            .ok_or_else(expected)?;
        let amount: u64 = digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())
            .flatten()
            .ok_or_else(expected)?;
        match amount.saturating_mul(unit) {
            minutes @ 5..=10080 => Ok(SessionLifetime { minutes }),
            _ => Err(expected()),
        }
    }
}

impl fmt::Display for SessionLifetime {
    /// As a duration of Go, which has no days: `8h`, `45m`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minutes.is_multiple_of(60) {
            true => write!(formatter, "{}h", self.minutes / 60),
            false => write!(formatter, "{}m", self.minutes),
        }
    }
}

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
    fn a_session_lasts_from_minutes_to_a_week_in_units_of_go() {
        for (text, shown) in [("5m", "5m"), ("90m", "90m"), ("120m", "2h"), ("8h", "8h"), ("7d", "168h")] {
            assert_eq!(text.parse::<SessionLifetime>().unwrap().to_string(), shown);
        }
        for wrong in
            ["", "8", "h", "4m", "8d", "169h", "+8h", "1.5h", "8 h", "1h30m", "99999999999999999999h", "8H", "30s"]
        {
            assert!(wrong.parse::<SessionLifetime>().is_err(), "{wrong}");
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
