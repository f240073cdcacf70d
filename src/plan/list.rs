//! Lists in one line.

/// Number of items that are listed before the rest is counted.
const NAMED: usize = 3;

/// The first items, and the number of the rest.
pub(super) fn name_some(items: &[String]) -> String {
    let named = items.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
