//! What a person enters in Auth0 for the stack: the settings of the application, and the Action that adds the groups
//! (auth0.com/docs: Application Settings; Create Custom Claims).

use serde_json::Value;

/// The exact callback URL to register for this host.
pub(super) fn callback_url(host: &str) -> String {
    format!("https://{host}/oauth2/callback")
}

/// Names and values of the application's settings for this host.
pub fn application_settings(host: &str) -> [(&'static str, String); 4] {
    [
        ("Application Type", "Regular Web Application".into()),
        ("Allowed Callback URLs", callback_url(host)),
        ("Allowed Logout URLs", format!("https://{host}/")),
        ("Allowed Web Origins", "leave it empty: no browser code signs in".into()),
    ]
}

/// The code of a Post-Login Action that adds the user's roles as this claim. Auth0's tokens have no groups.
pub fn post_login_action(claim: &str) -> String {
    let name = Value::from(claim);
    format!(
        "exports.onExecutePostLogin = async (event, api) => {{\n  \
         api.idToken.setCustomClaim({name}, event.authorization?.roles ?? []);\n\
         }};"
    )
}
