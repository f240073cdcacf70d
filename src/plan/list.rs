//! Lists in reasons.

use crate::list::first_of;

/// The first three items, and the number of the others.
pub(super) fn name_some(items: &[String]) -> String {
    first_of(items, 3)
}
