//! Explains why the first request failed: address, proxy, certificate, and the next step.

use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

use crate::cluster::ClusterError;
use crate::cluster::client::access::Access;
use crate::cluster::client::exec_plugin::PluginError;
use crate::cluster::client::proxy_route::Route;
use crate::cluster::error::innermost;
use crate::trust::Verifications;

/// Limit of shown characters of a response.
const SHOWN: usize = 160;

/// The attempt to connect.
pub(super) struct Attempt<'a> {
    pub(super) access: &'a Access,
    pub(super) verifications: &'a Verifications,
}

impl Attempt<'_> {
    /// The error of a timeout.
    pub(super) fn timed_out(&self, after: Duration) -> ClusterError {
        let next = match &self.access.route {
            Route::Direct => "see whether a VPN or a tunnel is needed, and whether a firewall drops the connection",
            Route::Proxy { .. } => "see whether the proxy works, or add the server to NO_PROXY",
        };
        self.unreachable(format!("no usable answer within {} s", after.as_secs()), Some(next.into()))
    }

    /// The error of the first request.
    pub(super) fn failed(&self, error: kube::Error) -> ClusterError {
        match error {
            kube::Error::Api(status) => self.answered(*status),
            kube::Error::SerdeError(_) => self.unreachable(
                "the server is no API server".into(),
                Some(
                    "correct `server` in the kubeconfig; a gateway in front of the API server can require a path"
                        .into(),
                ),
            ),
            other => self.unsent(&other),
        }
    }

    fn answered(&self, status: kube::core::Status) -> ClusterError {
        let line = status.message.lines().next().unwrap_or_default();
        let reported: String = line.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        let (code, speaks_tls) = (status.code, status.message.contains("HTTP request to an HTTPS server"));
        let is_status = !status.reason.is_empty() && status.reason != "Failed to parse error data";
        let reason = format!("it answers {code}: {reported}");
        let next = match (speaks_tls, code) {
            (true, _) => Some("it speaks https: write `server: https://…` in the kubeconfig".to_owned()),
            (_, 407) => Some("give the proxy its user and password: http://USER:PASSWORD@HOST:PORT".to_owned()),
            _ => None,
        };
        match ClusterError::from_kube("cannot read the version", kube::Error::Api(Box::new(status))) {
            ClusterError::Unauthorized => match &self.access.absent_user {
                Some(user) => self.bad(
                    format!("its context names the user {user:?}, which is in none of the files, and the API server rejects anonymous requests"),
                    "correct the context's user, or get the kubeconfig again".into(),
                ),
                None => ClusterError::Unauthorized,
            },
            refused @ ClusterError::Forbidden { .. } if is_status => refused,
            _ => self.unreachable(reason, next),
        }
    }

    fn unsent(&self, error: &(dyn Error + 'static)) -> ClusterError {
        let mut causes: Vec<&(dyn Error + 'static)> = vec![error];
        let mut next = error.source();
        while let Some(cause) = next {
            causes.push(cause);
            next = cause.source();
        }
        for cause in &causes {
            if let Some(plugin) = cause.downcast_ref::<PluginError>() {
                return self.bad(plugin.reason.clone(), plugin.next.clone());
            }
            // hyper-util does not export the errors of its proxies.
            let text = cause.to_string();
            if text.starts_with("SOCKS error: ") && !PROXY_WORDS.iter().any(|(words, ..)| text.contains(words)) {
                let said = text.trim_start_matches("SOCKS error: ");
                return self.unreachable(format!("the socks5 proxy does not connect to it: {said}"), None);
            }
            if let Some((_, reason, next)) = PROXY_WORDS.iter().find(|(words, ..)| text.contains(words)) {
                return self.unreachable((*reason).to_owned(), Some((*next).to_owned()));
            }
            let tls = cause.downcast_ref().or_else(|| cause.downcast_ref().and_then(tls_inside));
            if let Some(tls) = tls {
                return self.by_tls(tls);
            }
        }
        let kind =
            causes.iter().rev().find_map(|cause| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind));
        let text = innermost(error);
        match kind {
            Some(ErrorKind::ConnectionRefused) => self.unreachable("connection refused".into(), self.refused_hint()),
            _ if text.contains("lookup address") || text.contains("not known") => {
                let host = match &self.access.route {
                    Route::Direct => self.access.server.host_str(),
                    Route::Proxy { url, .. } => url.host_str(),
                };
                let reason = format!("the name {} cannot be resolved ({text})", host.unwrap_or_default());
                self.unreachable(reason, Some("correct the name, or connect to the network that knows it".into()))
            }
            _ => self.unreachable(text, None),
        }
    }

    fn refused_hint(&self) -> Option<String> {
        match &self.access.route {
            Route::Direct => None,
            Route::Proxy { .. } => Some("start the proxy or the tunnel, or correct its address".into()),
        }
    }

    fn by_tls(&self, error: &rustls::Error) -> ClusterError {
        match error {
            rustls::Error::InvalidCertificate(_) => match self.verifications.fault() {
                Some(fault) => self.unreachable(fault.what, Some(fault.next)),
                None => self.unreachable(error.to_string(), None),
            },
            rustls::Error::InvalidMessage(_) => self.unreachable(
                "the server does not use TLS".into(),
                Some("write `server: http://…` where the server has no TLS, else correct the port".into()),
            ),
            rustls::Error::AlertReceived(alert) => self.unreachable(
                format!("the server ends the TLS handshake: {alert:?}"),
                Some("see whether the client certificate is expired, or from another cluster".into()),
            ),
            other => self.unreachable(other.to_string(), None),
        }
    }

    fn unreachable(&self, reason: String, next: Option<String>) -> ClusterError {
        let server = format!("{}{}", self.access.server.as_str().trim_end_matches('/'), self.access.route.describe());
        ClusterError::Unreachable { server, reason, next }
    }

    /// The error of a wrong kubeconfig.
    pub(super) fn bad(&self, reason: String, next: String) -> ClusterError {
        ClusterError::BadKubeconfig { place: self.access.place.clone(), reason, next }
    }
}

/// The TLS error inside an I/O error, which is not in its chain of causes.
fn tls_inside(error: &std::io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref().or_else(|| inner.downcast_ref().and_then(tls_inside))
}

/// Messages of hyper-util's proxies, each with its cause and what to do.
const PROXY_WORDS: [(&str, &str, &str); 9] = [
    (
        "proxy authorization required",
        "the proxy requires a user and a password",
        "write them into the proxy's address: http://USER:PASSWORD@HOST:PORT",
    ),
    (
        "tunnel error: unsuccessful",
        "the proxy rejects the connection",
        "ask the operator of the proxy, or use NO_PROXY",
    ),
    ("tunnel error: unexpected end", "the proxy closes the connection", "see whether it is an http proxy"),
    ("io error establishing tunnel", "the connection to the proxy breaks", "see whether it is an http proxy"),
    (
        "user/pass authentication",
        "the socks5 proxy does not accept a user and a password",
        "write its address without them",
    ),
    (
        "implements authentication incorrectly",
        "the socks5 proxy requires a user and a password",
        "write them into the proxy's address: socks5://USER:PASSWORD@HOST:PORT",
    ),
    ("credentials not accepted", "the socks5 proxy rejects the user or the password", "correct them in its address"),
    ("SOCKS error: failed to create", "the socks5 proxy cannot be reached", "start the proxy or the tunnel"),
    ("SOCKS error: io error", "the connection to the socks5 proxy breaks", "see whether it is a socks5 proxy"),
];
