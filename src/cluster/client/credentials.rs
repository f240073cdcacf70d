//! Credentials of requests: the Authorization header and the client certificate, renewed as kubectl does. Source:
//! client-go transport/round_trippers.go and transport/token_source.go (v0.36).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cluster::client::client_certificate::{self, Identity};
use crate::cluster::client::exec_plugin::{Plugin, PluginError};
use crate::cluster::client::kubeconfig_schema::User;
use crate::input_file;

/// Time before a token file is read again: one minute less ten seconds in client-go.
const FRESH: Duration = Duration::from_secs(50);

/// Returns the Authorization header of each request. Cheap to clone.
#[derive(Clone)]
pub(super) struct Credentials {
    source: Arc<Source>,
    pub(super) identity: Identity,
}

enum Source {
    Nothing,
    Fixed(HeaderValue),
    File { path: String, fallback: Option<HeaderValue>, read: Mutex<Option<(Instant, HeaderValue)>> },
    Plugin { plugin: Box<Plugin>, issued: Mutex<Option<Issued>> },
}

struct Issued {
    /// The same credentials as fields of a kubeconfig's user.
    user: Map<String, Value>,
    header: Option<HeaderValue>,
    expires: Option<Timestamp>,
    number: u64,
}

/// A header, and the number of the plugin call that returned it.
#[derive(Clone, Debug, Default)]
pub(super) struct IssuedHeader {
    pub(super) header: Option<HeaderValue>,
    pub(super) number: u64,
}

impl Credentials {
    /// Credentials of a user for an https server; the error is a fragment.
    pub(super) fn of(user: &User, plugin: Option<Plugin>) -> Result<Credentials, String> {
        let identity = Identity::default();
        let read = |file: &str, data: &[u8]| match file.is_empty() {
            true => Ok(data.to_vec()),
            false => input_file::read(Path::new(file), client_certificate::LARGEST)
                .map_err(|error| format!("{file} cannot be read: {error}")),
        };
        let certificate = read(&user.client_certificate, &user.client_certificate_data)?;
        let has_certificate = !certificate.is_empty();
        if has_certificate {
            let key = read(&user.client_key, &user.client_key_data)?;
            identity.set(&certificate, &key)?;
            identity.follow(user, (&certificate, &key));
        }
        let bearer = |token: &str| sensitive(&format!("Bearer {}", token.trim()));
        let source = if !user.token_file.is_empty() {
            let fallback =
                Some(&user.token).filter(|token| !token.is_empty()).map(|token| bearer(token)).transpose()?;
            Source::File { path: user.token_file.clone(), fallback, read: Mutex::default() }
        } else if !user.token.is_empty() {
            Source::Fixed(bearer(&user.token)?)
        } else if !user.username.is_empty() || !user.password.is_empty() {
            let pair = STANDARD.encode(format!("{}:{}", user.username, user.password));
            Source::Fixed(sensitive(&format!("Basic {pair}"))?)
        } else {
            match plugin {
                // A token, a password or a certificate of the kubeconfig takes precedence over a plugin.
                Some(plugin) if !has_certificate => {
                    Source::Plugin { plugin: Box::new(plugin), issued: Mutex::default() }
                }
                _ => Source::Nothing,
            }
        };
        Ok(Credentials { source: Arc::new(source), identity })
    }

    /// No credentials, for an http server, as kubectl does.
    pub(super) fn none() -> Credentials {
        Credentials { source: Arc::new(Source::Nothing), identity: Identity::default() }
    }

    /// The header of the next request; reads a token file or runs a plugin when it is due.
    pub(super) async fn give(&self) -> Result<IssuedHeader, PluginError> {
        match self.source.as_ref() {
            Source::Nothing => Ok(IssuedHeader { header: None, number: self.identity.after_rotation() }),
            Source::Fixed(header) => {
                Ok(IssuedHeader { header: Some(header.clone()), number: self.identity.after_rotation() })
            }
            Source::File { path, fallback, read } => {
                let header = from_file(path, fallback.as_ref(), read).await?;
                Ok(IssuedHeader { header: Some(header), number: self.identity.after_rotation() })
            }
            Source::Plugin { plugin, issued } => {
                let mut issued = issued.lock().await;
                if let Some(issued) = issued.as_ref()
                    && issued.expires.is_none_or(|expires| Timestamp::now() <= expires)
                {
                    return Ok(issued.given());
                }
                self.renew(plugin, &mut issued).await
            }
        }
    }

    /// Replacement for a plugin that requires a terminal, for child processes, which have none: the credentials that
    /// the plugin returned.
    pub(super) async fn in_place_of_plugin(&self) -> Option<Map<String, Value>> {
        let Source::Plugin { plugin, issued } = self.source.as_ref() else { return None };
        let issued = issued.lock().await;
        issued.as_ref().filter(|_| plugin.exec.interactive_mode == "Always").map(|issued| issued.user.clone())
    }

    /// After a 401: runs the plugin again, unless another request has done so, or reads the files of the client
    /// certificate again. `None`: no newer credentials.
    pub(super) async fn renewed(&self, refused: &IssuedHeader) -> Option<Result<IssuedHeader, PluginError>> {
        let Source::Plugin { plugin, issued } = self.source.as_ref() else {
            let number = self.identity.now();
            return (number > refused.number).then(|| Ok(IssuedHeader { header: refused.header.clone(), number }));
        };
        let mut issued = issued.lock().await;
        match issued.as_ref() {
            Some(newer) if newer.number != refused.number => Some(Ok(newer.given())),
            _ => Some(self.renew(plugin, &mut issued).await),
        }
    }

    async fn renew(&self, plugin: &Plugin, issued: &mut Option<Issued>) -> Result<IssuedHeader, PluginError> {
        let printed = plugin.run().await?;
        let unusable = |reason: String| PluginError {
            reason: format!("the output of the exec plugin {} cannot be used: {reason}", plugin.exec.command),
            next: "run it by hand and see its output".into(),
        };
        let user = printed.as_user();
        let header = printed.token.map(|token| sensitive(&format!("Bearer {}", token.expose())));
        let header = header.transpose().map_err(unusable)?;
        if let Some((certificate, key)) = printed.identity {
            self.identity.set(certificate.as_bytes(), key.expose().as_bytes()).map_err(unusable)?;
        }
        let number = issued.as_ref().map_or(1, |before| before.number + 1);
        let fresh = Issued { user, header, expires: printed.expires, number };
        let given = fresh.given();
        *issued = Some(fresh);
        Ok(given)
    }
}

impl Issued {
    fn given(&self) -> IssuedHeader {
        IssuedHeader { header: self.header.clone(), number: self.number }
    }
}

/// The token of the file; if it cannot be read, its last content, then the token of the kubeconfig.
async fn from_file(
    path: &str,
    fallback: Option<&HeaderValue>,
    read: &Mutex<Option<(Instant, HeaderValue)>>,
) -> Result<HeaderValue, PluginError> {
    let mut read = read.lock().await;
    if let Some((at, header)) = read.as_ref()
        && at.elapsed() < FRESH
    {
        return Ok(header.clone());
    }
    let text = tokio::fs::read_to_string(path).await;
    let fresh = text.map_err(|error| error.to_string()).and_then(|text| match text.trim() {
        "" => Err("it is empty".to_owned()),
        token => sensitive(&format!("Bearer {token}")),
    });
    match (fresh, read.as_ref().map(|(_, header)| header).or(fallback)) {
        (Ok(header), _) => {
            *read = Some((Instant::now(), header.clone()));
            Ok(header)
        }
        (Err(_), Some(before)) => Ok(before.clone()),
        (Err(reason), None) => Err(PluginError {
            reason: format!("the token file {path} cannot be used: {reason}"),
            next: "correct `tokenFile` in the kubeconfig".into(),
        }),
    }
}

fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut header = HeaderValue::from_str(text).map_err(|_| "a token with a line break or control character")?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::client::kubeconfig_schema::{Cluster, Exec};
    use crate::process::Environment;

    /// A plugin that prints a token with the number of its run, and until when it is valid.
    fn counting(folder: &std::path::Path, expires: &str) -> Plugin {
        let script = format!(
            r#"echo x >>{0}/runs; n=$(wc -l <{0}/runs); printf '{{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {{"token": "t%d"{1}}}}}' $n"#,
            folder.display(),
            expires,
        );
        let exec = json!({ "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
            "interactiveMode": "Never" });
        let exec: Exec = serde_json::from_value(exec).unwrap();
        Plugin::new(&exec, &Cluster::default(), Environment::default())
    }

    async fn header(given: Result<IssuedHeader, PluginError>) -> String {
        given.unwrap().header.unwrap().to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_plugin_runs_again_when_its_credentials_have_expired_or_are_rejected() {
        for (expires, second) in [
            ("", "Bearer t1"),
            (r#", "expirationTimestamp": "2999-01-01T00:00:00Z""#, "Bearer t1"),
            (r#", "expirationTimestamp": "2001-01-01T00:00:00Z""#, "Bearer t2"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let credentials = Credentials::of(&User::default(), Some(counting(folder.path(), expires))).unwrap();
            let first = credentials.give().await.unwrap();
            assert_eq!(header(Ok(first.clone())).await, "Bearer t1");
            assert_eq!(header(credentials.give().await).await, second, "{expires}");
        }
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::of(&User::default(), Some(counting(folder.path(), ""))).unwrap();
        let refused = credentials.give().await.unwrap();
        assert_eq!(header(credentials.renewed(&refused).await.unwrap()).await, "Bearer t2");
        assert_eq!(
            header(credentials.renewed(&refused).await.unwrap()).await,
            "Bearer t2",
            "another request had renewed"
        );
    }

    #[tokio::test]
    async fn a_token_of_the_kubeconfig_takes_precedence_over_a_plugin() {
        let folder = tempfile::tempdir().unwrap();
        let user = User { token: "own".into(), ..User::default() };
        let credentials = Credentials::of(&user, Some(counting(folder.path(), ""))).unwrap();
        assert_eq!(header(credentials.give().await).await, "Bearer own");
        assert!(credentials.renewed(&IssuedHeader::default()).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_file_is_read_again_and_its_last_content_counts() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\n").unwrap();
        let user = User { token_file: file.path().display().to_string(), ..User::default() };
        let credentials = Credentials::of(&user, None).unwrap();
        assert_eq!(header(credentials.give().await).await, "Bearer one");
        std::fs::write(file.path(), "two").unwrap();
        assert_eq!(header(credentials.give().await).await, "Bearer one");
        tokio::time::advance(FRESH).await;
        assert_eq!(header(credentials.give().await).await, "Bearer two");
        std::fs::write(file.path(), "").unwrap();
        tokio::time::advance(FRESH).await;
        assert_eq!(header(credentials.give().await).await, "Bearer two");
    }
}
