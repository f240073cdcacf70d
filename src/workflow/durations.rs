//! Durations of flags.

use std::time::Duration;

use crate::error::Error;

/// The time without progress, e.g. `10m`, `1h30m`, `90s`.
pub(crate) fn parse_timeout(text: &str) -> Result<Duration, Error> {
    duration("--timeout", text, Duration::from_secs(10))
}

/// The deadline of a run.
pub(crate) fn parse_deadline(text: Option<&str>) -> Result<Option<Duration>, Error> {
    text.map(|text| duration("--deadline", text, Duration::from_secs(10))).transpose()
}

/// The lock timeout; may be `0s`.
pub(crate) fn parse_lock_timeout(text: &str) -> Result<Duration, Error> {
    duration("--lock-timeout", text, Duration::ZERO)
}

/// The longest duration of a flag.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A flag's duration between `least` and 24 h.
pub(crate) fn duration(flag: &str, text: &str, least: Duration) -> Result<Duration, Error> {
    let parsed = text.parse().ok().and_then(|parsed: jiff::SignedDuration| Duration::try_from(parsed).ok());
    parsed.filter(|duration| (least..=LONGEST).contains(duration)).ok_or_else(|| Error::Usage {
        message: format!("{flag} {text} is not a duration of at least {} s and at most 24 h", least.as_secs()),
        hint: Some("write it like 10m, 90s or 1h30m".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_parsed_and_limited() {
        assert_eq!(parse_timeout("10m").unwrap(), Duration::from_secs(600));
        assert_eq!(parse_timeout("1h30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(parse_timeout("24h").unwrap(), LONGEST);
        for wrong in ["", "10", "ten minutes", "-5m", "1s", "25h", "9223372036854775807s", "99999999999999999999h"] {
            assert!(matches!(parse_timeout(wrong), Err(Error::Usage { .. })), "{wrong}");
        }
        assert_eq!(parse_lock_timeout("0s").unwrap(), Duration::ZERO);
        assert!(parse_lock_timeout("soon").is_err() && parse_lock_timeout("9223372036854775807s").is_err());
    }
}
