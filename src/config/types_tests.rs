use super::*;
use proptest::prelude::*;

fn accepted<T: FromStr<Err = Invalid> + fmt::Display>(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(text.parse::<T>().map(|value| value.to_string()), Ok((*expected).to_owned()), "{text}");
    }
}

fn rejected<T: FromStr<Err = Invalid>>(cases: &[&str]) {
    for text in cases {
        assert!(text.parse::<T>().is_err(), "{text:?} was accepted");
    }
}

#[test]
fn unambiguous_tailnet_domains_are_normalized() {
    let same = "tail1a2b.ts.net";
    accepted::<TailnetDomain>(&[(same, same), ("tail1a2b", same), ("TAIL1A2B.ts.net.", same)]);
    rejected::<TailnetDomain>(&[
        "",
        "https://tail1a2b.ts.net",
        "acme.org.github",
        "a b.ts.net",
        "ts.net",
        "10.0.0.1",
        "a_b",
    ]);
}

#[test]
fn issuers_keep_every_byte_but_auth0s_missing_slash() {
    accepted::<IssuerUrl>(&[
        ("https://acme.eu.auth0.com/", "https://acme.eu.auth0.com/"),
        ("https://acme.eu.auth0.com", "https://acme.eu.auth0.com/"),
        ("https://login.acme.example/realm", "https://login.acme.example/realm"),
    ]);
    rejected::<IssuerUrl>(&[
        "",
        "acme.eu.auth0.com",
        "http://acme.eu.auth0.com/",
        "https://acme/",
        "https://a.b/?x=1",
        "https://u:p@a.b/",
    ]);
    rejected::<IssuerUrl>(&["https://a.b/.well-known/openid-configuration", "https://a.b/\"\nx=1"]);
}

#[test]
fn names_that_fail_later_are_rejected() {
    rejected::<GroupsClaim>(&["a\"b", "a b", ""]);
    accepted::<GroupsClaim>(&[("https://acme.example/groups", "https://acme.example/groups"), ("groups", "groups")]);
    rejected::<Organization>(&["", "org 1", "org_1&prompt=none", "org\"x"]);
    accepted::<Organization>(&[("org_AbC123", "org_AbC123"), ("acme", "acme")]);
    rejected::<TailscaleTag>(&["k8s", "tag:", "tag:1x", "tag:a b"]);
    rejected::<ChartRepository>(&["", "ftp://x", "https://user:pass@x", " https://x"]);
    accepted::<ChartRepository>(&[("https://x.example/charts/", "https://x.example/charts"), ("./charts", "./charts")]);
    accepted::<ImageRegistry>(&[
        ("registry.acme.example", "registry.acme.example"),
        ("registry.acme.example:5000/mirror/", "registry.acme.example:5000/mirror"),
        ("localhost/a/b", "localhost/a/b"),
    ]);
    rejected::<ImageRegistry>(&[
        "",
        "/",
        "mirror",
        "acme/mirror",
        "https://registry.acme.example",
        "registry.acme.example/A",
    ]);
    rejected::<ImageRegistry>(&["registry.acme.example/mirror:1", "registry.acme.example/{{ .x }}", "a.b/x@sha256:0"]);
    assert!("lokii".parse::<ComponentName>().unwrap_err().0.contains("did you mean loki?"));
    assert!("Admin".parse::<AnonymousRole>().unwrap_err().0.contains("data sources"));
}

proptest! {
    #[test]
    fn no_text_panics_and_parsing_is_stable(text in "\\PC{0,80}") {
        if let Ok(domain) = text.parse::<TailnetDomain>() {
            prop_assert_eq!(domain.as_str().parse::<TailnetDomain>().unwrap(), domain);
        }
        if let Ok(issuer) = text.parse::<IssuerUrl>() {
            prop_assert_eq!(issuer.as_str().parse::<IssuerUrl>().unwrap(), issuer);
        }
        let _ = (text.parse::<GroupsClaim>(), text.parse::<ChartRepository>(), text.parse::<TailscaleTag>());
    }
}

#[test]
fn templates_of_helm_are_rejected() {
    for text in ["{{ lookup `v1` `Secret` `a` `b` }}", "a}}", "{{"] {
        assert!(text.parse::<GroupName>().unwrap_err().0.contains("template"), "{text}");
        let url = format!("https://acme.example/{}", text.replace(' ', ""));
        assert!(url.parse::<IssuerUrl>().unwrap_err().0.contains("template"), "{url}");
        assert!(url.parse::<GroupsClaim>().unwrap_err().0.contains("template"), "{url}");
    }
    assert!("{ops}".parse::<GroupName>().is_ok());
}

#[test]
fn auth0_drops_restricted_claims_and_those_below_its_domains() {
    let dropped = |text: &str| text.parse::<GroupsClaim>().unwrap().reason_dropped_by_auth0().is_some();
    for claim in
        ["groups", "roles", "https://acme.eu.auth0.com/groups", "https://auth0.com/x", "https://a.webtask.io/g"]
    {
        assert!(dropped(claim), "{claim}");
    }
    for claim in ["https://acme.example/groups", "https://myauth0.com/groups", "cognito:groups", "team"] {
        assert!(!dropped(claim), "{claim}");
    }
}
