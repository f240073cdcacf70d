//! Route to the API server: direct, or through the proxy of the kubeconfig, else of the environment.

use url::Url;

use crate::proxy::ProxyRules;

/// Route of connections to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Direct,
    Proxy {
        url: Url,
        /// For messages: `proxy-url of the kubeconfig`, `HTTPS_PROXY`.
        source: &'static str,
    },
}

impl Route {
    /// `proxy-url` takes precedence, NO_PROXY does not apply to it (client-go passes it to http.ProxyURL).
    pub(super) fn of(server: &Url, proxy_url: &str, environment: &ProxyRules) -> Result<Route, String> {
        if !proxy_url.is_empty() {
            let url = Url::parse(proxy_url).ok().filter(Url::has_host);
            let url = url.ok_or_else(|| "proxy-url is no address".to_owned())?;
            return match url.scheme() {
                "http" | "https" | "socks5" => Ok(Route::Proxy { url, source: "proxy-url of the kubeconfig" }),
                other => Err(format!("proxy-url has the scheme {other}; kubectl accepts http, https and socks5")),
            };
        }
        let source = if server.scheme() == "https" { "HTTPS_PROXY" } else { "HTTP_PROXY" };
        match environment.proxy_of(server)? {
            None => Ok(Route::Direct),
            Some(url) => Ok(Route::Proxy { url: url.clone(), source }),
        }
    }

    /// The value of `proxy-url` for the same route; none for a scheme that only a variable can have.
    pub(super) fn as_proxy_url(&self) -> Option<String> {
        match self {
            Route::Proxy { url, .. } if matches!(url.scheme(), "http" | "https" | "socks5") => Some(url.to_string()),
            _ => None,
        }
    }

    /// ` through the proxy http://proxy:3128 (HTTPS_PROXY)`, without its password; empty for a direct route.
    pub(super) fn describe(&self) -> String {
        match self {
            Route::Direct => String::new(),
            Route::Proxy { url, source } => {
                let mut shown = url.clone();
                if !shown.username().is_empty() || shown.password().is_some() {
                    // Fails only for a URL without a host.
                    let _ = shown.set_username("").and_then(|()| shown.set_password(None));
                }
                format!(" through the proxy {} ({source})", shown.as_str().trim_end_matches('/'))
            }
        }
    }
}
