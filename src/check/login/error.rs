//! Errors of the sign-in. The text is the detail of the check `login-token`.

use std::time::Duration;

use crate::check::login::callback_server;
use crate::config::Settings;
use crate::event::Hop;

/// How long the user may take to sign in.
pub(super) const TIMEOUT: Duration = Duration::from_secs(300);

/// Why the sign-in returned no valid token.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The issuer did not answer, or not with a valid answer.
    #[error("cannot {what}: {why}")]
    Provider {
        /// The request, as an infinitive.
        what: &'static str,
        /// All causes, the outermost first.
        why: String,
    },
    /// The `issuer` of the discovery document is another one.
    #[error("the discovery document does not match the issuer: {0}")]
    Issuer(String),
    /// The discovery document has an endpoint without TLS.
    #[error("the issuer is not usable: {0}")]
    Endpoint(String),
    /// The issuer has no device authorization endpoint.
    #[error("the issuer offers no device flow")]
    NoDeviceFlow,
    /// The issuer rejects an authorization or token request of this client.
    #[error("the issuer rejects the client: {0}")]
    Rejected(String),
    /// The client secret is wrong.
    #[error("the issuer does not accept the client secret: {0}")]
    Secret(String),
    /// The user, or an Action, denied the sign-in.
    #[error("the sign-in was denied: {0}")]
    Denied(String),
    /// No user signed in within the timeout.
    #[error("no sign-in within {} minutes", TIMEOUT.as_secs() / 60)]
    Timeout {
        /// The redirect URI; `None` in the device flow.
        callback: Option<String>,
    },
    /// The token does not verify.
    #[error("the token does not verify: {0}")]
    Token(String),
}

impl LoginError {
    /// The broken hop; none if the user did not sign in or denied it.
    pub fn hop(&self) -> Option<Hop> {
        match self {
            LoginError::Denied(_) | LoginError::Timeout { .. } | LoginError::NoDeviceFlow => None,
            _ => Some(Hop::Oauth2ProxyIssuer),
        }
    }

    /// The next step.
    pub fn hint(&self, settings: &Settings) -> String {
        let client = &settings.auth0.client_id;
        match self {
            LoginError::Provider { .. } => {
                format!(
                    "open {} in a browser of this machine; HTTPS_PROXY and SSL_CERT_FILE are honoured",
                    document(settings)
                )
            }
            LoginError::Issuer(_) => {
                format!("set auth0.issuer to the `issuer` of {}, byte for byte, with its slash", document(settings))
            }
            LoginError::Endpoint(_) => {
                format!("the client secret and tokens are sent over https only: correct {}", document(settings))
            }
            LoginError::NoDeviceFlow => {
                "leave =device out: `tailwatch verify --login` signs in with the browser of this machine".into()
            }
            LoginError::Rejected(_) => format!(
                "check the application {client} in Auth0: the grant types Authorization Code and, for --login=device, \
                 Device Code must be on under Advanced Settings, and the connection under Connections"
            ),
            LoginError::Secret(_) => format!(
                "copy the secret of the application {client} from Auth0, then run `tailwatch install --ask-secrets`"
            ),
            LoginError::Denied(_) => {
                "sign in again and agree, or see in Auth0 under Monitoring > Logs which Action denied it".into()
            }
            LoginError::Timeout { callback: Some(callback) } => format!(
                "if Auth0 showed `Callback URL mismatch`, add {callback} to the Allowed Callback URLs of the \
                 application {client} and save; --login-port selects another port. If the browser is on another \
                 machine, use --login=device"
            ),
            LoginError::Timeout { callback: None } => {
                "run the command again, and type the code before it expires".into()
            }
            LoginError::Token(_) => "check the clock of this machine, and compare auth0.issuer and auth0.clientId \
                                     with the application in Auth0"
                .into(),
        }
    }
}

/// The hint for a port that is in use.
pub fn port_in_use_hint(port: u16) -> String {
    let other = port.checked_add(1).unwrap_or(port - 1);
    format!(
        "select another port with --login-port {other}, and add {} to the Allowed Callback URLs",
        callback_server::address(other)
    )
}

fn document(settings: &Settings) -> String {
    format!("{}/.well-known/openid-configuration", settings.auth0.issuer.as_str().trim_end_matches('/'))
}
