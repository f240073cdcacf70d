//! The checks of a sign-in: whether oauth2-proxy would admit this user, and why. Pure.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::check::login::LoginError;
use crate::check::login::claims::{Claims, texts};
use crate::check::row::{Finding, Row, Run, known};
use crate::check::runner::{self, Subject};
use crate::config::{GroupName, GroupsClaim, Settings, nearest, post_login_action};
use crate::event::{CheckResult, Hop};
use crate::list::first_of;

/// Groups that a detail lists.
const SHOWN: usize = 20;

const GROUP: &str = "sign-in";

/// In this order.
pub(in crate::check) const ROWS: &[Row<SignedIn>] = &[
    rule("login-token", "the issuer completes a sign-in", |signed_in: &SignedIn| signed_in.judge(token))
        .page("https://auth0.com/docs/get-started/applications/application-settings"),
    rule("login-email", "the user's e-mail address is verified", |signed_in: &SignedIn| signed_in.judge(email))
        .needs(&["login-token"])
        .page("https://auth0.com/docs/manage-users/user-accounts/verify-emails"),
    rule("login-groups", "the token has the user's groups", |signed_in: &SignedIn| signed_in.judge(groups))
        .needs(&["login-token"])
        .page("https://auth0.com/docs/secure/tokens/json-web-tokens/create-custom-claims"),
    rule("login-admitted", "the user is in an allowed group", |signed_in: &SignedIn| signed_in.judge(admitted))
        .needs(&["login-email", "login-groups"])
        .page("https://auth0.com/docs/manage-users/access-control/rbac"),
];

const fn rule(id: &'static str, statement: &'static str, run: Run<SignedIn>) -> Row<SignedIn> {
    Row::new(id, GROUP, statement, run).within(0)
}

/// The result of a sign-in.
pub(in crate::check) struct SignedIn {
    pub(super) claims: Result<Claims, LoginError>,
    pub(super) settings: Settings,
}

impl Subject for SignedIn {}

impl SignedIn {
    /// Without a valid token the first row fails, which skips all others.
    fn judge(&self, judge: fn(&Claims, &Settings) -> Finding) -> BoxFuture<'_, Result<Finding, String>> {
        known(match &self.claims {
            Ok(claims) => judge(claims, &self.settings),
            Err(error) => Finding { hop: error.hop(), ..fail(error.to_string(), error.hint(&self.settings)) },
        })
    }

    /// The verdict of every row; `took` is the time of the sign-in.
    pub(super) async fn verdicts(&self, took: Duration) -> Vec<CheckResult> {
        let mut checks = runner::run(ROWS, self, None).await;
        if let Some(first) = checks.first_mut() {
            first.seconds = took.as_secs_f64();
        }
        checks
    }
}

/// Ids of the rows, in the order of the report.
pub fn ids() -> Vec<&'static str> {
    ROWS.iter().map(|row| row.id).collect()
}

/// No broken hop: oauth2-proxy correctly denies access.
fn fail(detail: String, hint: String) -> Finding {
    Finding::fail(detail).hinting(hint)
}

/// Passes always: there are claims only of a verified token.
fn token(claims: &Claims, settings: &Settings) -> Finding {
    let audience = claims.token.get("aud").map(texts).unwrap_or_default();
    Finding::pass(format!("{}, for {}", settings.auth0.issuer, audience.join(", ")))
}

/// oauth2-proxy (providers/provider_data.go) requires an address and rejects one with `email_verified` false; it accepts
/// an address without this claim.
pub(super) fn email(claims: &Claims, _: &Settings) -> Finding {
    let Some(address) = claims.text("email") else {
        return fail(
            format!("neither the token nor the userinfo has an e-mail address{}", userinfo_failure(claims)),
            "oauth2-proxy answers 500 to users without an address; sign in with an account that has one, and check the \
             user's profile at the identity provider"
                .into(),
        );
    };
    match claims.get("email_verified").map(|value| value.as_bool().or_else(|| value.as_str()?.parse().ok())) {
        Some(Some(true)) => Finding::pass(format!("{address} is verified")),
        None => {
            Finding::pass(format!("the issuer does not say whether {address} is verified; oauth2-proxy accepts that"))
        }
        Some(_) => fail(
            format!("{address} is not verified; oauth2-proxy answers 500"),
            format!("ask the user to verify {address} (in Auth0: User Management > Users, Send Verification Email)"),
        ),
    }
}

pub(super) fn groups(claims: &Claims, settings: &Settings) -> Finding {
    let claim = settings.auth0.groups_claim.as_str();
    if let Some(value) = claims.get(claim) {
        return Finding::pass(match texts(value) {
            groups if groups.is_empty() => format!("{claim} is empty"),
            groups => format!("{claim} is {}", first_of(&groups, SHOWN)),
        });
    }
    if claims.has_reference_to(claim) {
        return fail(
            format!(
                "the user is in too many groups for a token: it has a reference in _claim_names instead of {claim}"
            ),
            "let the identity provider add only the groups that are assigned to the application (Entra ID: Token \
             configuration → groups claim → Groups assigned to the application)"
                .into(),
        )
        .at(Hop::Oauth2ProxyIssuer);
    }
    let mut detail = format!("there is no claim {claim}{}", userinfo_failure(claims));
    let mut hint = String::new();
    if let Some(Alternative { name, groups }) = alternative(claims, settings) {
        detail += &format!("; the token has {name}: {}", first_of(&groups, SHOWN));
        let is_dropped = name.parse().is_ok_and(|claim: GroupsClaim| claim.reason_dropped_by_auth0().is_some());
        if !(is_dropped && settings.auth0.issuer.is_auth0_host()) {
            hint = format!("set auth0.groupsClaim to {name} if it has the groups; otherwise ");
        }
    }
    fail(detail, hint + &claim_hint(settings)).at(Hop::Oauth2ProxyIssuer)
}

/// Usual names of a claim with groups.
const USUAL: [&str; 2] = ["groups", "roles"];

/// A claim that probably has the groups.
struct Alternative {
    name: String,
    groups: Vec<String>,
}

/// A claim with an allowed group, else one with a similar name, else one with a usual name.
fn alternative(claims: &Claims, settings: &Settings) -> Option<Alternative> {
    let lists = claims.lists();
    let names = || lists.keys().copied();
    let holds_allowed = |name: &&str| lists[name].iter().any(|group| is_allowed(group, settings));
    let configured = settings.auth0.groups_claim.as_str();
    let name = names()
        .find(holds_allowed)
        .or_else(|| nearest(configured, names()))
        .or_else(|| names().find(|name| USUAL.contains(name)))?;
    Some(Alternative { name: name.to_owned(), groups: lists[name].clone() })
}

/// How the identity provider adds the claim.
fn claim_hint(settings: &Settings) -> String {
    let claim = settings.auth0.groups_claim.as_str();
    if !settings.auth0.issuer.is_auth0_host() {
        return format!(
            "add the claim {claim} with the user's groups to the ID token (Keycloak: a Group Membership mapper of the \
             client; Okta, Entra ID: the groups claim of the application; Auth0 with a custom domain: a Post-Login Action)"
        );
    }
    format!(
        "add this Post-Login Action in Auth0 under Actions > Library, deploy it and drag it into the Login flow \
         (Actions > Triggers > post-login); it adds the user's Auth0 roles:\n{}",
        post_login_action(claim)
    )
}

fn is_allowed(group: &str, settings: &Settings) -> bool {
    settings.auth0.allowed_groups.iter().any(|allowed| allowed.as_str() == group)
}

pub(super) fn admitted(claims: &Claims, settings: &Settings) -> Finding {
    let claim = settings.auth0.groups_claim.as_str();
    let groups = claims.get(claim).map(texts).unwrap_or_default();
    let allowed: Vec<String> = settings.auth0.allowed_groups.iter().map(ToString::to_string).collect();
    let matching: Vec<String> = groups.iter().filter(|group| is_allowed(group, settings)).cloned().collect();
    if !matching.is_empty() {
        return Finding::pass(format!("you are in {}, which oauth2-proxy admits", first_of(&matching, SHOWN)));
    }
    let groups_text = if groups.is_empty() { "no group".to_owned() } else { first_of(&groups, SHOWN) };
    let detail = format!("you are in {groups_text}; allowed are {}", first_of(&allowed, SHOWN));
    match near_match(&groups, &settings.auth0.allowed_groups) {
        Some((group, allowed)) => fail(
            format!("{detail}; {group:?} and {allowed:?} differ: the match is exact"),
            format!("rename the group at the identity provider to {allowed}, or add {group} to auth0.allowedGroups"),
        ),
        None => fail(
            detail,
            "add the user to an allowed group at the identity provider (in Auth0: User Management > Users > Roles), or \
             add a group to auth0.allowedGroups and run `tailwatch install` again; then sign in again"
                .into(),
        ),
    }
}

/// A pair that differs only by case, white space or the slash before a group's path in Keycloak.
fn near_match<'a>(groups: &'a [String], allowed: &'a [GroupName]) -> Option<(&'a str, &'a str)> {
    let plain = |text: &str| text.trim().trim_start_matches('/').to_lowercase();
    let pairs = groups.iter().flat_map(|one| allowed.iter().map(move |other| (one.as_str(), other.as_str())));
    pairs.into_iter().find(|(one, other)| plain(one) == plain(other))
}

fn userinfo_failure(claims: &Claims) -> String {
    match &claims.userinfo {
        Some(Err(why)) => format!(", and the userinfo endpoint failed: {why}"),
        _ => String::new(),
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
