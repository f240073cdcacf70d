//! The rows of the sign-in walk: what oauth2-proxy would do with this person, and why. Pure.

use std::time::Duration;

use crate::check::login::LoginError;
use crate::check::login::claims::{Claims, texts};
use crate::config::{GroupName, Settings, nearest};
use crate::event::{CheckResult, Hop, Verdict};

/// One row.
struct Row {
    id: &'static str,
    statement: &'static str,
    /// Rows that must pass before this one says anything.
    needs: &'static [&'static str],
    docs: Option<&'static str>,
    judge: fn(&Claims, &Settings) -> Judgement,
}

/// What was found, and for a statement that is false the next step.
struct Judgement {
    detail: String,
    hint: Option<String>,
    /// The hop that is broken; a person who is rightly turned away breaks none.
    hop: Option<Hop>,
}

impl Judgement {
    fn blames(self, hop: Option<Hop>) -> Judgement {
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
        statement: "the issuer signs people in",
        needs: &[],
        docs: Some("https://auth0.com/docs/get-started/applications/application-settings"),
        judge: token,
    },
    Row {
        id: "login-email",
        statement: "the person's e-mail address is verified",
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
        statement: "the person is in an allowed group",
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

/// Every row's verdict over the claims.
pub(super) fn judged(claims: &Claims, settings: &Settings, took: Duration) -> Vec<CheckResult> {
    let first = |row: &Row| (row.judge)(claims, settings);
    verdicts(first, took)
}

/// The same where no token came.
pub(super) fn failed(error: &LoginError, settings: &Settings, took: Duration) -> Vec<CheckResult> {
    verdicts(|_| fail(error.to_string(), error.hint(settings)).blames(error.hop()), took)
}

/// Row by row; one whose needs did not pass is skipped.
fn verdicts(judge: impl Fn(&Row) -> Judgement, took: Duration) -> Vec<CheckResult> {
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

/// That it verified is why there are claims at all.
fn token(claims: &Claims, settings: &Settings) -> Judgement {
    let audience = claims.token.get("aud").map(texts).unwrap_or_default();
    pass(format!("{}, for {}", settings.auth0.issuer, audience.join(", ")))
}

/// oauth2-proxy (providers/provider_data.go) asks for an address, and refuses one that is said to be unverified; one
/// of which nothing is said it takes.
fn email(claims: &Claims, _: &Settings) -> Judgement {
    let Some(address) = claims.text("email") else {
        return fail(
            format!("neither the token nor the userinfo has an e-mail address{}", userinfo_failure(claims)),
            "oauth2-proxy answers 500 to people without an address; sign in with a connection that has one, and look \
             in Auth0 at the user's profile"
                .into(),
        );
    };
    match claims.get("email_verified").map(|value| value.as_bool().or_else(|| value.as_str()?.parse().ok())) {
        Some(Some(true)) => pass(format!("{address} is verified")),
        None => pass(format!("the issuer does not say whether {address} is verified, and oauth2-proxy takes that")),
        Some(_) => fail(
            format!("{address} is not verified, and oauth2-proxy answers 500 to it"),
            format!("let the person verify {address}: in Auth0 under User Management > Users, Send Verification Email"),
        ),
    }
}

fn groups(claims: &Claims, settings: &Settings) -> Judgement {
    let claim = settings.auth0.groups_claim.as_str();
    if let Some(value) = claims.get(claim) {
        return pass(match texts(value) {
            groups if groups.is_empty() => format!("{claim} is empty"),
            groups => format!("{claim} names {}", several(&groups)),
        });
    }
    let mut detail = format!("there is no claim {claim}{}", userinfo_failure(claims));
    let mut hint = String::new();
    if let Some(Instead { name, groups }) = instead(claims, settings) {
        detail += &format!("; there is {name}, with {}", several(&groups));
        if !RESTRICTED.contains(&name.as_str()) {
            hint = format!("set auth0.groupsClaim to {name} if that is the one; otherwise ");
        }
    }
    fail(detail, hint + &action(claim)).blames(Some(Hop::Oauth2ProxyIssuer))
}

/// Auth0 adds no claim of these names from an Action, and says nothing.
const RESTRICTED: [&str; 2] = ["groups", "roles"];

/// A claim that was probably meant.
struct Instead {
    name: String,
    groups: Vec<String>,
}

/// One that holds an allowed group, else one of a similar name, else one of the usual names.
fn instead(claims: &Claims, settings: &Settings) -> Option<Instead> {
    let lists = claims.lists();
    let names = || lists.keys().copied();
    let holds_allowed = |name: &&str| lists[name].iter().any(|group| is_allowed(group, settings));
    let wanted = settings.auth0.groups_claim.as_str();
    let name = names()
        .find(holds_allowed)
        .or_else(|| nearest(wanted, names()))
        .or_else(|| names().find(|name| RESTRICTED.contains(name)))?;
    Some(Instead { name: name.to_owned(), groups: lists[name].clone() })
}

/// What puts the groups into the token.
fn action(claim: &str) -> String {
    let name = serde_json::Value::from(claim);
    format!(
        "add this Post-Login Action in Auth0 under Actions > Library, deploy it and drag it into the Login flow \
         (Actions > Triggers > post-login); it tells a person's Auth0 roles:\n\
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
    let theirs = claims.get(claim).map(texts).unwrap_or_default();
    let allowed: Vec<String> = settings.auth0.allowed_groups.iter().map(ToString::to_string).collect();
    let matching: Vec<String> = theirs.iter().filter(|group| is_allowed(group, settings)).cloned().collect();
    if !matching.is_empty() {
        return pass(format!("you would be let in as {}", several(&matching)));
    }
    let place = if theirs.is_empty() { "no group".to_owned() } else { several(&theirs) };
    let detail = format!("you are in {place}; allowed are {}", several(&allowed));
    match almost(&theirs, &settings.auth0.allowed_groups) {
        Some((theirs, allowed)) => fail(
            format!("{detail}; {theirs:?} and {allowed:?} differ, since the match is exact"),
            format!("name the role {allowed} in Auth0 exactly so, or write {theirs} into auth0.allowedGroups"),
        ),
        None => fail(
            detail,
            "give the person a role of an allowed name in Auth0 under User Management > Users > Roles, or add a group \
             to auth0.allowedGroups and run `tailwatch install` again; then sign in again"
                .into(),
        ),
    }
}

/// A pair that differs only by case or white space.
fn almost<'a>(theirs: &'a [String], allowed: &'a [GroupName]) -> Option<(&'a str, &'a str)> {
    let plain = |text: &str| text.trim().to_lowercase();
    let pairs = theirs.iter().flat_map(|one| allowed.iter().map(move |other| (one.as_str(), other.as_str())));
    pairs.into_iter().find(|(one, other)| plain(one) == plain(other))
}

fn userinfo_failure(claims: &Claims) -> String {
    match &claims.userinfo {
        Some(Err(why)) => format!(", and the userinfo endpoint failed: {why}"),
        _ => String::new(),
    }
}

/// Names as a sentence has them; of very many the first.
fn several(names: &[String]) -> String {
    const MOST: usize = 20;
    let reported = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{reported} and {} more", names.len() - MOST) } else { reported }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
