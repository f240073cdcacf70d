//! The parsers of this module for fuzzing.

use reqwest::Url;

use crate::check::preflight::oidc::client::judge_exchange;
use crate::check::preflight::oidc::discovery::{groups_claim, judge_keys, organization, read};
use crate::check::preflight::oidc::identity::{HttpReply, Reaction, endpoint};
use crate::config::fuzzing::SETTINGS;

pub(in crate::check) fn discovery_document(bytes: &[u8]) {
    let Ok(document) = read(&reply(200, bytes)) else { return };
    let auth0 = &SETTINGS.auth0;
    drop((groups_claim(&document, &auth0.groups_claim), organization(&document, auth0)));
    drop(endpoint("jwks_uri", &document.jwks_uri));
}

/// Keys, pages and redirects; the first line is also the address of the redirect.
pub(in crate::check) fn answer(bytes: &[u8]) {
    for status in [200, 302, 403] {
        let reply = reply(status, bytes);
        drop((Reaction::of("https://grafana.t.ts.net/oauth2/callback", &reply), judge_exchange(&reply)));
        drop(judge_keys("https://acme.example/keys", &reply));
    }
}

fn reply(status: u16, bytes: &[u8]) -> HttpReply {
    let body = String::from_utf8_lossy(bytes).into_owned();
    let location = body.lines().next().and_then(|line| Url::parse(line).ok());
    HttpReply { status, location, body }
}
