//! The parsers of this module for fuzzing.

use crate::engine::journal;

type Parse = fn(&[u8]);

/// Name and parser of each input.
pub(crate) const PARSERS: &[(&str, Parse)] = &[("journal", |bytes| drop(journal::usual_in(bytes)))];
