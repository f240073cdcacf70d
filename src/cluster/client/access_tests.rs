use super::*;

fn chosen(cluster: Value, user: Option<Value>) -> Chosen {
    let entry = |name: &str, value: Value| Entry {
        name: name.into(),
        value: value.as_object().cloned().unwrap(),
        file: "/a/kubeconfig".into(),
    };
    Chosen {
        context: entry("here", json!({ "cluster": "c", "user": "u", "extensions": [] })),
        cluster: entry("c", cluster),
        user: user.map(|user| entry("u", user)),
    }
}

fn access(cluster: Value, user: Option<Value>) -> Result<Access, String> {
    Access::from_entries("/a/kubeconfig".into(), Some("here".into()), chosen(cluster, user))
        .map_err(|error| error.to_string())
}

#[test]
fn servers_are_parsed_as_in_client_go() {
    for (server, expected) in [
        ("https://10.0.0.1:6443", Some("https://10.0.0.1:6443/")),
        ("HTTPS://API.example/k8s/clusters/c-1", Some("https://api.example/k8s/clusters/c-1")),
        ("https://api.example/?a=b#c", Some("https://api.example/")),
        ("https://[fd00::1]:6443", Some("https://[fd00::1]:6443/")),
        ("10.0.0.1:6443", Some("http://10.0.0.1:6443/")),
        ("localhost:8080", Some("http://localhost:8080/")),
        ("api.example/prefix", None),
        ("ftp://api.example", None),
        ("https://", None),
    ] {
        let found = access(json!({ "server": server }), None).ok().map(|access| access.server.to_string());
        assert_eq!(found.as_deref(), expected, "{server}");
    }
}

#[test]
fn a_snapshot_has_one_context_the_proxy_and_every_field() {
    let cluster = json!({ "server": "https://api.example", "proxy-url": "socks5://me:x@p:1080", "unknown": 1 });
    let access = access(cluster.clone(), Some(json!({ "tokenFile": "/dev/null", "exec": null }))).unwrap();
    let document: Value = access.snapshot.document.expose().parse().unwrap();
    assert_eq!(document["clusters"], json!([{ "name": "c", "cluster": cluster }]));
    assert_eq!(document["users"], json!([{ "name": "u", "user": { "tokenFile": "/dev/null", "exec": null } }]));
    assert_eq!((&document["current-context"], document["contexts"].as_array().unwrap().len()), (&"here".into(), 1));
    assert_eq!(access.route.describe(), " through the proxy socks5://p:1080 (proxy-url of the kubeconfig)");
}

#[test]
fn a_pod_uses_its_account() {
    let account = tempfile::tempdir().unwrap();
    assert!(in_cluster_at(account.path(), "10.0.0.1", "443").is_none(), "there is no token");
    std::fs::write(account.path().join("token"), "t").unwrap();
    std::fs::write(account.path().join("ca.crt"), "c").unwrap();
    for (host, server) in [("10.0.0.1", "https://10.0.0.1/"), ("fd00::1", "https://[fd00::1]/")] {
        let access = in_cluster_at(account.path(), host, "443").unwrap().unwrap();
        assert_eq!((access.server.as_str(), access.context.as_deref()), (server, None));
        let document: Value = access.snapshot.document.expose().parse().unwrap();
        let token = account.path().join("token").display().to_string();
        assert_eq!(document["users"][0]["user"]["tokenFile"], token);
        assert_eq!(document["current-context"], access.snapshot.context);
    }
}

#[test]
fn a_kubeconfig_that_kubectl_rejects_is_rejected() {
    const V1: &str = "client.authentication.k8s.io/v1";
    for (user, named) in [
        (json!({ "auth-provider": { "name": "gcp" } }), "gke-gcloud-auth-plugin"),
        (json!({ "auth-provider": { "name": "azure" } }), "kubelogin"),
        (json!({ "token": "t", "password": "p" }), "a token and a username"),
        (json!({ "as-uid": "1" }), "without `as`"),
        (json!({ "client-certificate-data": "YQ==" }), "no client-key"),
        (json!({ "tokenFile": "/nonexistent" }), "/nonexistent"),
        (json!({ "exec": { "apiVersion": V1, "interactiveMode": "Never" } }), "no command"),
        (json!({ "exec": { "apiVersion": V1, "command": "p" } }), "interactiveMode"),
        (json!({ "exec": { "apiVersion": V1, "command": "p", "interactiveMode": "never" } }), "interactiveMode"),
        (json!({ "exec": { "apiVersion": V1, "command": "p", "env": [{ "value": "x" }] } }), "without a name"),
        (json!({ "exec": { "command": "p" } }), "apiVersion"),
    ] {
        let error = access(json!({ "server": "https://api.example" }), Some(user.clone())).unwrap_err();
        assert!(error.contains(named), "{user}: {error}");
    }
    assert!(access(json!({ "server": "https://a" }), Some(json!({ "auth-provider": { "name": "oidc" } }))).is_ok());
}
