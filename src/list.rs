//! Lists in texts. Pure.

/// The first `count` items, and the number of the others: `a, b and 3 more`.
pub(crate) fn first_of<T: AsRef<str>>(items: impl IntoIterator<Item = T>, count: usize) -> String {
    let items: Vec<T> = items.into_iter().collect();
    let first = items.iter().take(count).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(count) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
