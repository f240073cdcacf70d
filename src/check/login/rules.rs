//! The checks of a sign-in: whether oauth2-proxy would admit this user, and why. Pure.

use std::time::Duration;

use crate::check::login::LoginError;
use crate::check::login::claims::{Claims, texts};
use crate::config::{GroupName, GroupsClaim, Settings, nearest};
use crate::event::{CheckResult, Hop, Verdict};
use crate::list::first_of;

/// Groups that a detail lists.
const SHOWN: usize = 20;

/// One row.
struct Row {
    id: &'static str,
    statement: &'static str,
    /// Rows that must pass; otherwise this one is skipped.
    needs: &'static [&'static str],
    docs: Option<&'static str>,
    judge: fn(&Claims, &Settings) -> Judgement,
}

/// The measured detail, and the next step if the statement is false.
struct Judgement {
    detail: String,
    hint: Option<String>,
    /// The broken hop; none if oauth2-proxy correctly denies access.
    hop: Option<Hop>,
}

impl Judgement {
    fn at_hop(self, hop: Option<Hop>) -> Judgement {
        Judgement { hop, ..self }
    }
}

fn pass(detail: String) -> Judgement {
    Judgement { detail, hint: None, hop: None }
}

fn fail(detail: String, hint: String) -> Judgement {
    Judgement { detail, hint: Some(hint), hop: None }
}

const GROUP: &str = "sign-in";

static ROWS: &[Row] = &[
    Row {
        id: "login-token",
        statement: "the issuer completes a sign-in",
        needs: &[],
        docs: Some("https://auth0.com/docs/get-started/applications/application-settings"),
        judge: token,
    },
    Row {
        id: "login-email",
        statement: "the user's e-mail address is verified",
        needs: &["login-token"],
        docs: Some("https://auth0.com/docs/manage-users/user-accounts/verify-emails"),
        judge: email,
    },
    Row {
        id: "login-groups",
        statement: "the token has the user's groups",
        needs: &["login-token"],
        docs: Some("https://auth0.com/docs/secure/tokens/json-web-tokens/create-custom-claims"),
        judge: groups,
    },
    Row {
        id: "login-admitted",
        statement: "the user is in an allowed group",
        needs: &["login-email", "login-groups"],
        docs: Some("https://auth0.com/docs/manage-users/access-control/rbac"),
        judge: admitted,
    },
];

/// Ids of the rows, in the order of the report.
pub fn ids() -> Vec<&'static str> {
    ROWS.iter().map(|row| row.id).collect()
}

/// Id and statement of each row.
pub fn statements() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROWS.iter().map(|row| (row.id, row.statement))
}

/// The verdict of every row for these claims.
pub(super) fn verdicts(claims: &Claims, settings: &Settings, took: Duration) -> Vec<CheckResult> {
    let first = |row: &Row| (row.judge)(claims, settings);
    evaluate(first, took)
}

/// The verdicts of a sign-in without a valid token.
pub(super) fn failed(error: &LoginError, settings: &Settings, took: Duration) -> Vec<CheckResult> {
    evaluate(|_| fail(error.to_string(), error.hint(settings)).at_hop(error.hop()), took)
}

/// Evaluates the rows in order; skips a row if one of its needs did not pass.
fn evaluate(judge: impl Fn(&Row) -> Judgement, took: Duration) -> Vec<CheckResult> {
    let mut checks: Vec<CheckResult> = Vec::new();
    for row in ROWS {
        let stopped = |need: &&&str| checks.iter().any(|check| check.id == **need && check.verdict != Verdict::Pass);
        let (verdict, Judgement { detail, hint, hop }) = match row.needs.iter().find(stopped) {
            Some(need) => (Verdict::Skip, pass(format!("not tested, since {need} did not pass"))),
            None => {
                let judgement = judge(row);
                (if judgement.hint.is_some() { Verdict::Fail } else { Verdict::Pass }, judgement)
            }
        };
        checks.push(CheckResult {
            id: row.id.into(),
            group: GROUP.into(),
            hop,
            statement: row.statement.into(),
            verdict,
            detail,
            docs: row.docs.filter(|_| hint.is_some()).map(str::to_owned),
            hint,
            seconds: if checks.is_empty() { took.as_secs_f64() } else { 0.0 },
        });
    }
    checks
}

/// Passes always: there are claims only of a verified token.
fn token(claims: &Claims, settings: &Settings) -> Judgement {
    let audience = claims.token.get("aud").map(texts).unwrap_or_default();
    pass(format!("{}, for {}", settings.auth0.issuer, audience.join(", ")))
}

/// oauth2-proxy (providers/provider_data.go) requires an address and rejects one with `email_verified` false; it accepts
/// an address without this claim.
fn email(claims: &Claims, _: &Settings) -> Judgement {
    let Some(address) = claims.text("email") else {
        return fail(
            format!("neither the token nor the userinfo has an e-mail address{}", userinfo_failure(claims)),
            "oauth2-proxy answers 500 to users without an address; sign in with an account that has one, and check the \
             user's profile at the identity provider"
                .into(),
        );
    };
    match claims.get("email_verified").map(|value| value.as_bool().or_else(|| value.as_str()?.parse().ok())) {
        Some(Some(true)) => pass(format!("{address} is verified")),
        None => pass(format!("the issuer does not say whether {address} is verified; oauth2-proxy accepts that")),
        Some(_) => fail(
            format!("{address} is not verified; oauth2-proxy answers 500"),
            format!("ask the user to verify {address} (in Auth0: User Management > Users, Send Verification Email)"),
        ),
    }
}

fn groups(claims: &Claims, settings: &Settings) -> Judgement {
    let claim = settings.auth0.groups_claim.as_str();
    if let Some(value) = claims.get(claim) {
        return pass(match texts(value) {
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
        .at_hop(Some(Hop::Oauth2ProxyIssuer));
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
    fail(detail, hint + &claim_hint(settings)).at_hop(Some(Hop::Oauth2ProxyIssuer))
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
    let name = serde_json::Value::from(claim);
    format!(
        "add this Post-Login Action in Auth0 under Actions > Library, deploy it and drag it into the Login flow \
         (Actions > Triggers > post-login); it adds the user's Auth0 roles:\n\
         exports.onExecutePostLogin = async (event, api) => {{\n\
         api.idToken.setCustomClaim({name}, event.authorization?.roles ?? []);\n\
         }};"
    )
}

fn is_allowed(group: &str, settings: &Settings) -> bool {
    settings.auth0.allowed_groups.iter().any(|allowed| allowed.as_str() == group)
}

fn admitted(claims: &Claims, settings: &Settings) -> Judgement {
    let claim = settings.auth0.groups_claim.as_str();
    let groups = claims.get(claim).map(texts).unwrap_or_default();
    let allowed: Vec<String> = settings.auth0.allowed_groups.iter().map(ToString::to_string).collect();
    let matching: Vec<String> = groups.iter().filter(|group| is_allowed(group, settings)).cloned().collect();
    if !matching.is_empty() {
        return pass(format!("you are in {}, which oauth2-proxy admits", first_of(&matching, SHOWN)));
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
