//! The proxy of a request from HTTPS_PROXY, HTTP_PROXY and NO_PROXY, with the rules of kubectl, helm and other Go programs.
//! Source: golang.org/x/net/http/httpproxy, proxy.go (v0.61), behind net/http ProxyFromEnvironment.

use std::net::IpAddr;

use url::{Host, Url};

/// The proxies of an environment, and the destinations that bypass them.
#[derive(Clone, Debug, Default)]
pub struct ProxyRules {
    http: Option<Url>,
    https: Option<Url>,
    exceptions: Vec<Exception>,
    /// REQUEST_METHOD is set: HTTP_PROXY may be a header of a CGI request.
    is_cgi: bool,
}

/// An entry of NO_PROXY.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    Everything,
    Network {
        address: IpAddr,
        prefix: u8,
    },
    Address {
        address: IpAddr,
        port: String,
    },
    /// `name` begins with a dot.
    Domain {
        name: String,
        port: String,
        itself: bool,
    },
}

impl ProxyRules {
    /// From the variables of this process.
    pub fn from_environment() -> ProxyRules {
        ProxyRules::from_variables(|name| std::env::var(name).ok())
    }

    /// Upper case takes precedence over lower case; an empty variable is ignored.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> ProxyRules {
        let any = |upper: &str, lower: &str| {
            [upper, lower].iter().find_map(|name| variable(name).filter(|text| !text.is_empty())).unwrap_or_default()
        };
        ProxyRules {
            http: proxy(&any("HTTP_PROXY", "http_proxy")),
            https: proxy(&any("HTTPS_PROXY", "https_proxy")),
            exceptions: exceptions(&any("NO_PROXY", "no_proxy")),
            is_cgi: variable("REQUEST_METHOD").is_some_and(|text| !text.is_empty()),
        }
    }

    /// The proxy of a request to this address. `Err`: Go rejects HTTP_PROXY in a CGI process.
    pub fn proxy_of(&self, address: &Url) -> Result<Option<&Url>, &'static str> {
        let proxy = match address.scheme() {
            "https" => self.https.as_ref(),
            "http" if self.http.is_some() && self.is_cgi => {
                return Err("HTTP_PROXY is ignored if REQUEST_METHOD is set, since a CGI request may set it");
            }
            "http" => self.http.as_ref(),
            _ => None,
        };
        Ok(proxy.filter(|_| self.is_proxied(address)))
    }

    fn is_proxied(&self, address: &Url) -> bool {
        let port = address.port_or_known_default().map(|port| port.to_string()).unwrap_or_default();
        let (name, ip) = match address.host() {
            None => return true,
            Some(Host::Domain(name)) => (name.to_lowercase(), name.parse::<IpAddr>().ok()),
            Some(Host::Ipv4(ip)) => (ip.to_string(), Some(IpAddr::V4(ip))),
            Some(Host::Ipv6(ip)) => (ip.to_string(), Some(IpAddr::V6(ip))),
        };
        let ip = ip.map(|ip| ip.to_canonical());
        if name == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
            return false;
        }
        !self.exceptions.iter().any(|exception| exception.matches(&name, &port, ip))
    }
}

impl Exception {
    fn matches(&self, name: &str, port: &str, ip: Option<IpAddr>) -> bool {
        let of_port = |required: &str| required.is_empty() || required == port;
        match (self, ip) {
            (Exception::Everything, _) => true,
            (Exception::Network { address, prefix }, Some(ip)) => contains(*address, *prefix, ip),
            (Exception::Address { address, port }, Some(ip)) => *address == ip && of_port(port),
            (Exception::Domain { name: suffix, port, itself }, None) => {
                (name.ends_with(suffix.as_str()) || *itself && name == &suffix[1..]) && of_port(port)
            }
            _ => false,
        }
    }
}

fn contains(network: IpAddr, prefix: u8, ip: IpAddr) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128_u8),
    };
    let ((network, width), (ip, of_ip)) = (bits(network), bits(ip));
    width == of_ip && (network ^ ip).checked_shr(128 - u32::from(prefix)).unwrap_or_default() == 0
}

/// A URL, or `host[:port]` of an http proxy.
fn proxy(text: &str) -> Option<Url> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return None;
    }
    let whole = Url::parse(text).ok().filter(|url| text.contains("://") && url.has_host());
    whole.or_else(|| Url::parse(&format!("http://{text}")).ok())
}

fn exceptions(list: &str) -> Vec<Exception> {
    let mut found = Vec::new();
    for entry in list.split(',').map(|entry| entry.trim().to_lowercase()).filter(|entry| !entry.is_empty()) {
        if entry == "*" {
            return vec![Exception::Everything];
        }
        found.extend(network(&entry).or_else(|| host(&entry)));
    }
    found
}

/// `10.0.0.0/8`, `2001:db8::/32`
fn network(entry: &str) -> Option<Exception> {
    let (address, prefix) = entry.split_once('/')?;
    let written: IpAddr = address.parse().ok()?;
    let address = written.to_canonical();
    let max_prefix = if written.is_ipv4() { 32 } else { 128 };
    let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = prefix.parse::<u8>().ok().filter(|prefix| is_number && *prefix <= max_prefix)?;
    let prefix = if written == address { prefix } else { prefix.saturating_sub(96) };
    Some(Exception::Network { address, prefix })
}

/// An address or a name, each with or without a port. `None`: the entry has no host.
fn host(entry: &str) -> Option<Exception> {
    let (host, port) = split_port(entry).unwrap_or((entry, ""));
    let port = port.to_owned();
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(Exception::Address { address: address.to_canonical(), port });
    }
    let name = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
    let itself = !name.is_empty() && !name.starts_with('.');
    let name = name.strip_prefix('.').unwrap_or(name);
    if host.is_empty() {
        return None;
    }
    let ascii = match name.is_ascii() {
        true => None,
        false => Host::parse(name).ok().map(|host| host.to_string()),
    };
    Some(Exception::Domain { name: format!(".{}", ascii.as_deref().unwrap_or(name)), port, itself })
}

/// Go's net.SplitHostPort: `host:port`, `[v6]:port`.
fn split_port(entry: &str) -> Option<(&str, &str)> {
    let (host, port) = entry.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!host.contains(['[', ']']) && !port.contains(['[', ']'])).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy_for(variables: &[(&str, &str)], address: &str) -> Option<String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let rules = ProxyRules::from_variables(variable);
        let proxy = rules.proxy_of(&Url::parse(address).unwrap());
        proxy.unwrap().map(|url| url.as_str().trim_end_matches('/').to_owned())
    }

    #[test]
    fn the_variable_is_that_of_the_scheme() {
        const API: &str = "https://api.example:6443";
        const PLAIN: &str = "http://api.example:8080";
        for (variables, address, expected) in [
            (&[][..], API, None),
            (&[("HTTPS_PROXY", "http://proxy:3128")], API, Some("http://proxy:3128")),
            (&[("HTTPS_PROXY", "http://proxy:3128")], PLAIN, None),
            (&[("HTTP_PROXY", "http://proxy:3128")], API, None),
            (&[("HTTP_PROXY", "http://proxy:3128")], PLAIN, Some("http://proxy:3128")),
            (&[("https_proxy", "http://proxy:3128")], API, Some("http://proxy:3128")),
            (&[("HTTPS_PROXY", "http://upper"), ("https_proxy", "http://lower")], API, Some("http://upper")),
            (&[("HTTPS_PROXY", ""), ("https_proxy", "http://lower")], API, Some("http://lower")),
            (&[("ALL_PROXY", "http://proxy")], API, None),
            (&[("HTTPS_PROXY", "proxy:3128")], API, Some("http://proxy:3128")),
            (&[("HTTPS_PROXY", "proxy")], API, Some("http://proxy")),
            (&[("HTTPS_PROXY", "10.1.2.3:3128")], API, Some("http://10.1.2.3:3128")),
            (&[("HTTPS_PROXY", "[fd00::1]:3128")], API, Some("http://[fd00::1]:3128")),
            (&[("HTTPS_PROXY", "socks5://proxy:1080")], API, Some("socks5://proxy:1080")),
            (&[("HTTPS_PROXY", "socks5h://proxy")], API, Some("socks5h://proxy")),
            (&[("HTTPS_PROXY", "https://me:secret@proxy")], API, Some("https://me:secret@proxy")),
            (&[("HTTPS_PROXY", "http://proxy"), ("REQUEST_METHOD", "GET")], API, Some("http://proxy")),
        ] {
            assert_eq!(proxy_for(variables, address).as_deref(), expected, "{variables:?} {address}");
        }
        let cgi = |name: &str| Some(if name == "REQUEST_METHOD" { "GET" } else { "http://proxy" }.to_owned());
        assert!(ProxyRules::from_variables(cgi).proxy_of(&Url::parse(PLAIN).unwrap()).is_err());
    }

    #[test]
    fn no_proxy_follows_the_rules_of_go() {
        for (list, host, is_proxied) in [
            ("", "api.example", true),
            ("", "localhost", false),
            ("", "127.0.0.1", false),
            ("", "127.8.9.1", false),
            ("", "[::1]", false),
            ("", "[::ffff:127.0.0.1]", false),
            ("", "[::2]", true),
            ("", "localhost.example", true),
            ("*", "api.example", false),
            ("other, *", "10.0.0.1", false),
            ("*x", "api.x", true),
            ("example", "api.example", false),
            ("example", "example", false),
            ("example", "notexample", true),
            (".example", "api.example", false),
            (".example", "example", true),
            ("*.example", "api.example", false),
            ("*.example", "deep.api.example", false),
            ("*.example", "example", true),
            ("EXAMPLE", "api.example", false),
            (" example ,other", "api.example", false),
            ("api.example:6443", "api.example:6443", false),
            ("api.example:6443", "api.example:6444", true),
            ("api.example:443", "api.example", false),
            ("example:", "api.example", false),
            (".example:6443", "api.example:6443", false),
            ("10.0.0.0/8", "10.1.2.3", false),
            ("10.0.0.0/8", "11.1.2.3", true),
            ("10.1.2.3/8", "10.9.9.9", false),
            ("0.0.0.0/0", "8.8.8.8", false),
            ("0.0.0.0/0", "[2001:db8::1]", true),
            ("10.0.0.0/33", "10.1.2.3", true),
            ("10.0.0.0/+8", "10.1.2.3", true),
            ("10.0.0.0/8:6443", "10.1.2.3:6443", true),
            ("10.1.2.3", "10.1.2.3:6443", false),
            ("10.1.2.3:6443", "10.1.2.3:6443", false),
            ("10.1.2.3:6443", "10.1.2.3:443", true),
            ("10.1.2", "10.1.2.3", true),
            (".1.2.3", "10.1.2.3", true),
            ("2001:db8::1", "[2001:db8:0::1]:6443", false),
            ("[2001:db8::1]", "[2001:db8::1]", true),
            ("[2001:db8::1]:6443", "[2001:db8::1]:6443", false),
            ("[2001:db8::1]:6443", "[2001:db8::1]:443", true),
            ("2001:db8::/32", "[2001:db8:9::9]", false),
            ("::ffff:10.0.0.0/104", "10.1.2.3", false),
            ("::ffff:10.1.2.3", "10.1.2.3", false),
            (":6443", "api.example:6443", true),
            ("http://api.example", "api.example", true),
            ("m\u{fc}ller.example", "api.xn--mller-kva.example", false),
            ("xn--mller-kva.example", "api.m\u{fc}ller.example", false),
        ] {
            let variables = [("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", list)];
            let address = format!("https://{host}");
            assert_eq!(proxy_for(&variables, &address).is_some(), is_proxied, "NO_PROXY={list} {address}");
        }
    }
}
