//! The file of recorded runs: the lines of `--output json`, or a log file.

use std::path::Path;

use serde_json::Value;

use crate::error::Error;
use crate::event::TimedEvent;
use crate::input_file;

/// Largest file, in bytes; a run writes some hundred kilobytes.
const LARGEST: u64 = 256 << 20;

/// Its events, at least one.
pub(crate) fn read(file: &Path) -> Result<Vec<TimedEvent>, Error> {
    let rejected = |found: String| Error::Usage {
        message: format!("{}: {found}", file.display()),
        hint: Some("record a run with `tailwatch install --output json > FILE` or with --log-file FILE".into()),
    };
    let text = input_file::read_text(file, LARGEST).map_err(|error| rejected(error.to_string()))?;
    let mut events = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let unreadable = |error: serde_json::Error| rejected(format!("line {} is no event: {error}", index + 1));
        let value: Value = serde_json::from_str(line).map_err(unreadable)?;
        // A log file also has the calls of helm.
        if value.get("helm").is_none() {
            events.push(serde_json::from_value(value).map_err(unreadable)?);
        }
    }
    if events.is_empty() {
        return Err(rejected("it has no event".into()));
    }
    Ok(events)
}
