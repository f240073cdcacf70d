//! Texts that are secrets for any key: documented formats of issuers, and addresses and settings with a password.

/// Prefixes of tokens, and the minimum length of the rest (GitHub, GitLab, Slack, Stripe, Google, npm, PyPI, SendGrid,
/// Grafana, Vault, DigitalOcean, Tailscale, OpenAI, AWS key ids).
const TOKENS: [(&str, usize); 26] = [
    ("ghp_", 30),
    ("gho_", 30),
    ("ghu_", 30),
    ("ghs_", 30),
    ("ghr_", 30),
    ("github_pat_", 30),
    ("glpat-", 18),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("xoxa-", 16),
    ("xapp-", 16),
    ("sk_live_", 16),
    ("rk_live_", 16),
    ("AIza", 35),
    ("npm_", 30),
    ("pypi-AgEI", 30),
    ("SG.", 40),
    ("glsa_", 30),
    ("glc_", 30),
    ("hvs.", 20),
    ("dop_v1_", 40),
    ("tskey-", 16),
    ("sk-proj-", 30),
    ("AKIA", 16),
    ("ASIA", 16),
    ("ya29.", 30),
];
/// URLs that are credentials by themselves, such as webhooks.
const WEBHOOKS: [&str; 6] = [
    "://hooks.slack.com/services/",
    "://discord.com/api/webhooks/",
    "://discordapp.com/api/webhooks/",
    ".webhook.office.com/webhook",
    "://outlook.office.com/webhook",
    "://api.telegram.org/bot",
];
/// Prefixes of a password hash after a user name, as htpasswd(1) writes them.
const HASHES: [&str; 6] = [":$2y$", ":$2a$", ":$2b$", ":$apr1$", ":{SHA}", ":$6$"];
/// Settings in connection strings, scripts and configuration files.
const SETTINGS: [&str; 6] = ["password", "passwd", "pwd", "accountkey", "sharedaccesskey", "client_secret"];

/// Whether the text itself has the form of a secret.
pub(super) fn is_secret(text: &str) -> bool {
    let is_key = text.contains("-----BEGIN ") && text.contains("PRIVATE KEY");
    is_key
        || WEBHOOKS.iter().any(|address| text.contains(address))
        || HASHES.iter().any(|hash| text.contains(hash))
        || text.split(|c: char| !is_of_a_token(c)).any(|word| is_token(word) || is_jwt(word))
        || has_userinfo(text)
        || has_setting(text)
        || is_encoded_key(text)
}

/// Whether it is a reference in the syntax of Grafana, the shell or a template, or is masked.
pub(super) fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    let is_blank = ["X", "*"].iter().any(|blank| text.len() > 2 && text.trim_matches(|c| blank.contains(c)).is_empty());
    if is_blank || text.starts_with("{{") && text.ends_with("}}") {
        return true;
    }
    let Some(rest) = text.strip_prefix('$') else { return text.is_empty() };
    rest.starts_with(['{', '(', '_']) || rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_of_a_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
}

fn is_token(word: &str) -> bool {
    let rest = |(prefix, minimum): &(&str, usize)| Some((word.strip_prefix(prefix)?, *minimum));
    TOKENS.iter().filter_map(rest).any(|(rest, minimum)| {
        rest.len() >= minimum && rest.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
    })
}

/// RFC 7519: three parts of base64url, the first of which is a JSON object.
fn is_jwt(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    parts.len() == 3 && parts[..2].iter().all(|part| part.starts_with("eyJ") && part.len() > 12) && parts[2].len() > 12
}

/// A private key in base64, as a Secret's data has it.
fn is_encoded_key(text: &str) -> bool {
    text.trim().starts_with("LS0tLS1CRUdJTi") && {
        use base64::Engine as _;
        let joined: String = text.split_whitespace().collect();
        let decoded = base64::engine::general_purpose::STANDARD.decode(joined).unwrap_or_default();
        String::from_utf8_lossy(&decoded).contains("PRIVATE KEY")
    }
}

/// `scheme://user:password@host`, and `user:password@tcp(host)` of MySQL.
fn has_userinfo(text: &str) -> bool {
    let of_url = text.match_indices("://").any(|(at, _)| {
        let rest = &text[at + 3..];
        let authority = rest.split(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'')).next();
        let userinfo = authority.unwrap_or_default().rsplit_once('@').map(|(userinfo, _)| userinfo);
        userinfo.and_then(|userinfo| userinfo.split_once(':')).is_some_and(|(_, password)| is_literal(password))
    });
    let of_mysql = ["@tcp(", "@unix("].iter().any(|host| {
        let userinfo = text.split_once(host).map(|(userinfo, _)| userinfo);
        userinfo.and_then(|userinfo| userinfo.split_once(':')).is_some_and(|(_, password)| is_literal(password))
    });
    of_url || of_mysql
}

/// `password=x` anywhere, `password: x` on a line of its own.
fn has_setting(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    SETTINGS.iter().any(|name| {
        lower.match_indices(name).any(|(at, _)| {
            let begins_line = lower[..at].rsplit('\n').next().is_some_and(|before| {
                before.trim_start().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            });
            let Some(behind) = text.get(at + name.len()..) else { return false };
            let line = behind.lines().next().unwrap_or_default().trim_start();
            match (line.strip_prefix('='), line.strip_prefix(':')) {
                (Some(value), _) => {
                    let value = value.split([';', '&']).next().unwrap_or_default();
                    // Without a space the next word is an argument of its own.
                    is_word(if value.starts_with(' ') { value } else { value.split(' ').next().unwrap_or_default() })
                }
                (_, Some(value)) if begins_line && text.contains('\n') => is_word(value),
                _ => false,
            }
        })
    })
}

/// One word, in quotes or not, that is not a reference.
fn is_word(value: &str) -> bool {
    let value = value.trim();
    let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.split(*quote).next());
    let word = quoted.unwrap_or_else(|| value.split_whitespace().next().unwrap_or_default());
    let is_alone = quoted.is_some() || value.split_whitespace().count() <= 1;
    is_alone && word.len() >= 4 && is_literal(word) && !matches!(word, "true" | "false" | "null" | "none")
}

/// Whether it is a literal, not a variable, template or call.
fn is_literal(password: &str) -> bool {
    !password.is_empty()
        && !password.starts_with(['$', '{', '<', '%', '*'])
        && !password.contains(['(', '['])
        && !password.contains("${")
        && !password.contains("{{")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    #[test]
    fn formats_of_secrets_are_detected() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----";
        let many = |text: &str| text.repeat(40);
        for text in [
            key.to_owned(),
            base64::engine::general_purpose::STANDARD.encode(key),
            "-----BEGIN PGP PRIVATE KEY BLOCK-----".into(),
            format!("ghp_{}", many("a1")),
            format!("token github_pat_{}", many("A")),
            format!("glpat-{}", many("x2")),
            format!("xoxb-{}", many("1")),
            "AKIAIOSFODNN7EXAMPLE".into(),
            format!("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{}", many("s")),
            "https://discord.com/api/webhooks/1/x".into(),
            "admin:$2y$10$abcdefghijklmnopqrstuv".into(),
            "postgres://app:hunter2@db:5432/app".into(),
            "redis://:hunter2@cache:6379".into(),
            "first http://a/ then https://u:p4ss@b/".into(),
            "app:hunter2@tcp(db:3306)/app".into(),
            "host=db user=app password=hunter2 dbname=app".into(),
            "Server=db;User Id=app;Password=hunter2;".into(),
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abcd==;EndpointSuffix=x".into(),
            "[smtp]\nuser = a\npassword = \"hunter2\"\n".into(),
            "global:\n  smtp_auth_password: 'hunter2'\n".into(),
            "curl --user x --password=hunter2 https://x/".into(),
        ] {
            assert!(is_secret(&text), "{text}");
        }
    }

    #[test]
    fn ordinary_texts_are_none() {
        for text in [
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "https://grafana.acme.example/d/x?orgId=1",
            "https://host:8080/@user",
            "https://$(USER):$(PASSWORD)@host/",
            "https://{{ .Values.user }}:{{ .Values.password }}@host/",
            "postgres://app@db/app",
            "quay.io/prometheus/node-exporter:v1.9.1@sha256:00ff",
            "mailto:ops@acme.example",
            "password: see the manual for its rules",
            "forget your password: ask",
            "password=$PASSWORD",
            "password = sys.env(\"PASSWORD\")",
            "basic_auth {\n  password_file = \"/etc/x\"\n  password = env(\"X\")\n}",
            "sum by (job) (rate(http_requests_total[5m]))",
            "glc_short",
            "hvs.vault.svc.cluster.local.name",
            "npm_config_loglevel_is_a_setting_of_npm",
            "1.2.3",
            "",
        ] {
            assert!(!is_secret(text), "{text}");
        }
        for text in
            ["$PASSWORD", "${PASSWORD}", "$__file{/x}", "$(PASSWORD)", "{{ .Values.x }}", "XXXXXXXX", "***", " "]
        {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["$2y$10$abc", "$ecret!", "x"] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
