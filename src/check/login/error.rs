//! Why no token came. The text is the detail of the row `login-token`.

use crate::check::login::callback_server;
use crate::config::Settings;
use crate::event::Hop;

/// Why no token came that can be judged.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The issuer did not answer, or with nothing that is of use.
    #[error("cannot {what}: {why}")]
    Provider {
        /// What was asked of it.
        what: &'static str,
        /// Every cause, the outermost first.
        why: String,
    },
    /// The discovery document is another issuer's.
    #[error("the discovery document does not fit the issuer: {0}")]
    Issuer(String),
    /// The issuer does not offer what the walk needs.
    #[error("the issuer offers no device flow")]
    NoDeviceFlow,
    /// The issuer refuses to begin or end a sign-in for this client.
    #[error("the issuer refuses the client: {0}")]
    Refused(String),
    /// The client secret is not the client's.
    #[error("the issuer does not accept the client secret: {0}")]
    Secret(String),
    /// The person, or an Action, said no.
    #[error("the sign-in was denied: {0}")]
    Denied(String),
    /// Nobody came back in the browser.
    #[error("no sign-in within {} minutes", super::TIMEOUT.as_secs() / 60)]
    Nobody {
        /// The address that the issuer was reported.
        callback: Option<String>,
    },
    /// The token does not verify.
    #[error("the token does not verify: {0}")]
    Token(String),
}

impl LoginError {
    /// The hop that is broken; of people who do not come, or say no, none is.
    pub fn hop(&self) -> Option<Hop> {
        match self {
            LoginError::Denied(_) | LoginError::Nobody { .. } | LoginError::NoDeviceFlow => None,
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
            LoginError::NoDeviceFlow => {
                "leave =device out: `tailwatch verify --login` signs in with the browser of this machine".into()
            }
            LoginError::Refused(_) => format!(
                "look at the application {client} in Auth0: the grant types Authorization Code and, for --login=device, \
                 Device Code must be on under Advanced Settings, and the connection under Connections"
            ),
            LoginError::Secret(_) => format!(
                "copy the secret of the application {client} from Auth0, then run `tailwatch install --ask-secrets`"
            ),
            LoginError::Denied(_) => {
                "sign in again and agree, or look in Auth0 under Monitoring > Logs which Action denied it".into()
            }
            LoginError::Nobody { callback: Some(callback) } => format!(
                "if Auth0 showed `Callback URL mismatch`, add {callback} to the Allowed Callback URLs of the \
                 application {client} and save; --login-port takes another port. Where the browser is on another \
                 machine, use --login=device"
            ),
            LoginError::Nobody { callback: None } => {
                "run the command again, and type the code before it expires".into()
            }
            LoginError::Token(_) => "look at the clock of this machine, and compare auth0.issuer and auth0.clientId \
                                     with the application in Auth0"
                .into(),
        }
    }
}

/// The sentence for a port that someone else has.
pub fn port_taken_hint(port: u16) -> String {
    let other = port.checked_add(1).unwrap_or(port - 1);
    format!(
        "name another with --login-port {other}, and add {} to the Allowed Callback URLs",
        callback_server::address(other)
    )
}

fn document(settings: &Settings) -> String {
    format!("{}/.well-known/openid-configuration", settings.auth0.issuer.as_str().trim_end_matches('/'))
}
