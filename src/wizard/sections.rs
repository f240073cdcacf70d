//! The sections of the questions, and what the person prepares elsewhere for each.

use crate::config::{Draft, IssuerUrl, application_settings, post_login_action};

/// A group of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Tailnet,
    SignIn,
    Storage,
}

impl Section {
    pub(super) fn title(self) -> &'static str {
        match self {
            Section::Tailnet => "Tailnet",
            Section::SignIn => "Sign-in",
            Section::Storage => "Storage",
        }
    }

    /// Lines before its first question.
    pub(super) fn introduction(self, draft: &Draft) -> Vec<String> {
        match self {
            Section::Tailnet | Section::Storage => Vec::new(),
            Section::SignIn => application(draft),
        }
    }
}

fn answered(draft: &Draft, key: &str) -> Option<String> {
    draft.text(key).map(|(text, _)| text)
}

/// The application in Auth0, with the addresses of the answers so far.
fn application(draft: &Draft) -> Vec<String> {
    let name = answered(draft, "grafana.hostname").zip(answered(draft, "tailnet"));
    let Some((name, tailnet)) = name else { return Vec::new() };
    let title = "The next answers are in the settings of an application in Auth0 (Applications > Create Application). \
                 Enter there:";
    let settings = application_settings(&format!("{name}.{tailnet}"));
    let lines = settings.map(|(setting, value)| format!("  {setting:<21}  {value}"));
    [title.to_owned()].into_iter().chain(lines).collect()
}

/// How Auth0 adds the groups claim of the answers, after it was answered; nothing for another identity provider.
pub(super) fn groups_action(draft: &Draft) -> Vec<String> {
    let issuer = answered(draft, "auth0.issuer").and_then(|issuer| issuer.parse::<IssuerUrl>().ok());
    let Some(claim) = answered(draft, "auth0.groupsClaim") else { return Vec::new() };
    if !issuer.is_some_and(|issuer| issuer.is_auth0_host()) {
        return Vec::new();
    }
    let title = "This Action adds the user's Auth0 roles as that claim (Actions > Library > Create Action, trigger \
                 Login / Post Login). Deploy it and drag it into Actions > Triggers > post-login:";
    let code = post_login_action(&claim);
    [title.to_owned()].into_iter().chain(code.lines().map(|line| format!("  {line}"))).collect()
}
