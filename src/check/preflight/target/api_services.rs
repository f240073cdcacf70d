//! APIServices that do not answer: while one exists, the API server cannot list everything in a namespace, and no
//! namespace can be deleted.

use crate::check::row::Finding;
use crate::cluster::UnavailableApi;

/// `None`: this context may not list them.
pub(super) fn judge(unavailable: Option<&[UnavailableApi]>) -> Finding {
    let Some(unavailable) = unavailable else { return Finding::skip("this context may not list APIServices") };
    let described: Vec<String> = unavailable.iter().map(UnavailableApi::described).collect();
    match unavailable.first() {
        None => Finding::pass(""),
        Some(first) => Finding::warn(described.join("; ")).hinting(first.hint()),
    }
}
