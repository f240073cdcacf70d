//! What the environment says about the terminal.

use std::env::var_os;

/// Whether text is written and answered line by line: the terminal moves no cursor, or `ACCESSIBLE` is set, as for a screen
/// reader.
pub(crate) fn is_sequential() -> bool {
    var_os("TERM").is_none_or(|term| term == "dumb") || var_os("ACCESSIBLE").is_some_and(|set| !set.is_empty())
}
