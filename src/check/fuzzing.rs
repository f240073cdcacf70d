//! The parsers of this module for fuzzing.

use crate::check::login;
use crate::check::preflight::target::TailnetStatus;
use crate::check::preflight::{conflicts, oidc};

type Parse = fn(&[u8]);

/// Name and parser of each input.
pub(crate) const PARSERS: &[(&str, Parse)] = &[
    ("data-sources", conflicts::fuzzing::data_sources),
    ("discovery-document", oidc::fuzzing::discovery_document),
    ("issuer-answer", oidc::fuzzing::answer),
    ("id-token", login::fuzzing::id_token),
    ("sign-in-answer", login::fuzzing::answer),
    ("tailscale-status", |bytes| drop(serde_json::from_slice(bytes).map(|status| TailnetStatus::of(&status)))),
];
