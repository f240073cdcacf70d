//! Kubeconfigs and proxies in every shape, against the real API server: tailwatch, with its helm, reaches the cluster
//! exactly where kubectl does, as the same user and through the same proxy.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use support::{CommandOutput, Sandbox};
use tokio::runtime::Runtime;

use crate::gateway::{Gateway, Kind, server_tls};
use crate::{TAILWATCH, nothing_installed};

/// A kubeconfig and an environment.
struct Shape {
    name: &'static str,
    /// Whether the cluster is reached; without kubectl the table could agree on nothing.
    works: bool,
    kubeconfig: String,
    variables: Vec<(&'static str, String)>,
    arguments: Vec<String>,
    /// What tailwatch's error names.
    names: &'static str,
}

/// A sandbox and what the shapes are made of.
struct Scenario {
    sandbox: Sandbox,
    folder: PathBuf,
    server: String,
    token: String,
    gateways: Vec<Gateway>,
    certificates: Vec<(&'static str, String)>,
}

impl Scenario {
    fn up(runtime: &Runtime) -> Scenario {
        let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
        let folder = sandbox.file("shapes");
        fs::create_dir_all(&folder).unwrap();
        for (from, to) in [("ca.crt", "ca.crt"), ("admin.crt", "admin.crt"), ("admin.key", "admin.key")] {
            fs::copy(sandbox.file("pki").join(from), folder.join(to)).unwrap();
        }
        sandbox.kubectl(&["create", "serviceaccount", "robot", "-n", "default"]);
        sandbox.kubectl(&[
            "create",
            "clusterrolebinding",
            "robot",
            "--clusterrole=cluster-admin",
            "--serviceaccount=default:robot",
        ]);
        let token = sandbox.kubectl(&["create", "token", "robot", "-n", "default"]).trim().to_owned();
        let config: Value = sandbox.kubectl(&["config", "view", "-o", "json"]).parse().unwrap();
        let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap().to_owned();
        let port = server.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
        let start = |name, kind| Gateway::start(runtime, name, kind, port);
        let mut gateways = vec![
            start("http", Kind::Http(None)),
            start("http-password", Kind::Http(Some("me:pa@ss"))),
            start("absolute", Kind::Absolute(None)),
            start("absolute-password", Kind::Absolute(Some("me:pa@ss"))),
            start("socks", Kind::Socks(None)),
            start("socks-password", Kind::Socks(Some("me:pa@ss"))),
            start("old", Kind::Old { token: token.clone() }),
        ];
        let mut certificates = Vec::new();
        for (name, tls, authority) in servers() {
            let kind = if name == "https-proxy" { Kind::Https(tls) } else { Kind::Tls(tls) };
            gateways.push(start(name, kind));
            certificates.push((name, authority));
        }
        Scenario { sandbox, folder, server, token, gateways, certificates }
    }

    fn port(&self, gateway: &str) -> u16 {
        self.gateways.iter().find(|known| known.name == gateway).unwrap().port
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn data(&self, name: &str) -> String {
        STANDARD.encode(fs::read(self.folder.join(name)).unwrap())
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.folder.join(name), text).unwrap();
        self.file(name)
    }

    /// A plugin that prints the token, after these lines.
    fn plugin(&self, name: &str, lines: &str, version: &str) -> String {
        let printed = json!({ "kind": "ExecCredential", "apiVersion": version, "status": { "token": self.token } });
        let path = self.write(name, &format!("#!/bin/sh\n{lines}\ncat <<'END'\n{printed}\nEND\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// (reached, who by the audit log, gateways that were used)
    fn ran(&self, shape: &Shape, program: &str) -> (CommandOutput, bool, BTreeSet<String>, BTreeSet<&'static str>) {
        let log = self.sandbox.file("audit.log");
        let seen = fs::metadata(&log).map_or(0, |facts| facts.len());
        for gateway in &self.gateways {
            gateway.take();
        }
        let mut command = match program {
            "kubectl" => self.sandbox.command(&self.sandbox.file("bin/kubectl")),
            _ => self.sandbox.tailwatch_command(&[]),
        };
        match program {
            "kubectl" => command.args(["get", "secrets", "-A", "--request-timeout=10s"]),
            _ => command.arg("status"),
        };
        for name in ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"] {
            command.env_remove(name);
        }
        command.env("KUBECONFIG", &shape.kubeconfig).envs(shape.variables.iter().cloned()).args(&shape.arguments);
        command.current_dir(&self.folder);
        let said = CommandOutput::of(command.output().unwrap());
        let reached = match program {
            "kubectl" => said.code == Some(0),
            _ => said.talk().contains(&nothing_installed()),
        };
        let mut file = fs::File::open(log).unwrap();
        file.seek(SeekFrom::Start(seen)).unwrap();
        let mut log = Vec::new();
        file.read_to_end(&mut log).unwrap();
        let log = String::from_utf8_lossy(&log);
        let users = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|event| {
                let agent = event["userAgent"].as_str().unwrap_or_default();
                ["kubectl/", "tailwatch/", "Helm/"].iter().any(|name| agent.starts_with(name))
            })
            .map(|event| format!("{} as {}", event["user"]["username"], event["impersonatedUser"]))
            .collect();
        let used = self.gateways.iter().filter(|gateway| gateway.take() > 0).map(|gateway| gateway.name).collect();
        (said, reached, users, used)
    }
}

/// Servers that end TLS with a certificate of their own, and the authority that a kubeconfig names for each.
fn servers() -> Vec<(&'static str, std::sync::Arc<rustls::ServerConfig>, String)> {
    let loopback = || CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
    let dates = |parameters: &mut CertificateParams, from: i32, to: i32| {
        parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(to, 1, 1);
    };
    let own = |name, parameters: CertificateParams| {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        (name, server_tls(&[&certificate], &key), certificate.pem())
    };
    let as_ca = |mut parameters: CertificateParams| {
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters
    };
    let mut expired = as_ca(loopback());
    dates(&mut expired, 2020, 2021);
    let mut future = as_ca(loopback());
    dates(&mut future, 2090, 2091);
    let mut nameless = as_ca(CertificateParams::new(Vec::new()).unwrap());
    nameless.distinguished_name.push(rcgen::DnType::CommonName, "127.0.0.1");
    let mut client = loopback();
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let mut servers = vec![
        own("own-root", as_ca(loopback())),
        own("own-leaf", loopback()),
        own("expired", expired),
        own("future", future),
        own("other-host", as_ca(CertificateParams::new(vec!["api.example".into(), "10.1.2.3".into()]).unwrap())),
        own("no-san", nameless),
        own("for-clients", client),
        own("https-proxy", loopback()),
    ];
    let authority_key = KeyPair::generate().unwrap();
    let authority = as_ca(CertificateParams::new(Vec::new()).unwrap());
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::from_params(&authority, &authority_key);
    let mut issued = |name, parameters: CertificateParams, pins_leaf: bool| {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &issuer).unwrap();
        let trusted = if pins_leaf { certificate.pem() } else { authority_pem.clone() };
        servers.push((name, server_tls(&[&certificate], &key), trusted));
    };
    issued("issued", loopback(), false);
    issued("issued-ca", as_ca(loopback()), false);
    issued("pinned", loopback(), true);
    let key = KeyPair::generate().unwrap();
    let unknown = loopback().self_signed(&key).unwrap();
    servers.push(("unknown", server_tls(&[&unknown], &key), authority_pem.clone()));
    let key = KeyPair::generate().unwrap();
    let mut old = as_ca(CertificateParams::new(Vec::new()).unwrap());
    dates(&mut old, 2020, 2021);
    old.distinguished_name.push(rcgen::DnType::CommonName, "old authority");
    let old_key = KeyPair::generate().unwrap();
    let leaf = loopback().signed_by(&key, &Issuer::from_params(&old, &old_key)).unwrap();
    servers.push(("old-authority", server_tls(&[&leaf], &key), old.self_signed(&old_key).unwrap().pem()));
    servers
}

/// A kubeconfig with one context.
fn config(cluster: Value, user: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{ "name": "c", "cluster": cluster }],
        "users": [{ "name": "u", "user": user }],
        "contexts": [{ "name": "here", "context": { "cluster": "c", "user": "u", "namespace": "default" } }],
    })
}

fn joined(mut one: Value, other: Value) -> Value {
    one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    one
}

struct Table<'a> {
    world: &'a Scenario,
    shapes: Vec<Shape>,
}

impl Table<'_> {
    fn add(&mut self, name: &'static str, works: bool, config: &Value) -> &mut Shape {
        let kubeconfig = self.world.write(&format!("{name}.yaml"), &config.to_string());
        self.raw(name, works, kubeconfig)
    }

    fn raw(&mut self, name: &'static str, works: bool, kubeconfig: String) -> &mut Shape {
        self.shapes.push(Shape { name, works, kubeconfig, variables: vec![], arguments: vec![], names: "" });
        self.shapes.last_mut().unwrap()
    }

    fn cluster(&self) -> Value {
        json!({ "server": self.world.server, "certificate-authority": "ca.crt" })
    }

    fn token(&self) -> Value {
        json!({ "token": self.world.token })
    }

    fn files(&mut self) {
        let world = self.world;
        let admin = json!({ "client-certificate": "admin.crt", "client-key": "./admin.key" });
        self.add("relative-files", true, &config(self.cluster(), admin.clone()));
        let data =
            json!({ "client-certificate-data": world.data("admin.crt"), "client-key-data": world.data("admin.key") });
        let cluster = json!({ "server": world.server, "certificate-authority-data": world.data("ca.crt") });
        self.add("data", true, &config(cluster.clone(), data));
        let both = joined(cluster, json!({ "certificate-authority": "ca.crt" }));
        self.add("data-and-file", false, &config(both, self.token())).names = "certificate-authority";
        let mut first = config(self.cluster(), json!({}));
        first["current-context"] = "".into();
        first["users"] = Value::Null;
        let second = json!({ "current-context": "here", "users": [{ "name": "u", "user": self.token() }],
            "clusters": [{ "name": "c", "cluster": { "server": "https://127.0.0.1:1" } }] });
        let first = world.write("first.json", &first.to_string());
        let second = world.write("second.yaml", &second.to_string());
        let empty = world.write("empty.yaml", "");
        self.raw("list", true, format!(":{first}:/nonexistent/kubeconfig:{empty}:{first}:{second}:"));
        let good = config(self.cluster(), self.token());
        let path = world.write("good.yaml", &good.to_string());
        self.raw("flag", true, "/nonexistent".into()).arguments = vec!["--kubeconfig".into(), path];
        self.raw("missing-flag", false, first).arguments = vec!["--kubeconfig".into(), "/nonexistent".into()];
        let mut none = good.clone();
        none["current-context"] = Value::Null;
        self.add("no-current-context", false, &none).names = "--context";
        self.add("named-context", true, &none).arguments = vec!["--context".into(), "here".into()];
        self.add("unknown-context", false, &good).arguments = vec!["--context".into(), "there".into()];
        let mut twice = good.clone();
        twice["users"] = json!([good["users"][0], good["users"][0]]);
        self.add("name-twice", false, &twice).names = "twice";
        let mut other_kind = good.clone();
        other_kind["kind"] = "Pod".into();
        self.add("other-kind", false, &other_kind);
        let mut untyped = good.clone();
        untyped.as_object_mut().unwrap().retain(|key, _| !matches!(key.as_str(), "kind" | "apiVersion"));
        self.add("no-kind", true, &untyped);
        let mut no_user = good.clone();
        no_user["contexts"][0]["context"]["user"] = "nobody".into();
        self.add("absent-user", false, &no_user);
        let mut no_cluster = good;
        no_cluster["contexts"][0]["context"]["cluster"] = "nowhere".into();
        self.add("absent-cluster", false, &no_cluster).names = "nowhere";
        let yaml = format!(
            "clusters:\n- name: c\n  cluster: &c\n    server: {}\n    insecure-skip-tls-verify: yes\n- name: d\n  cluster:\n    <<: *c\nusers:\n- name: u\n  user: {{ token: {} }}\ncontexts:\n- name: d\n  context: {{ cluster: d, user: u }}\ncurrent-context: d\n",
            world.server, world.token
        );
        let path = world.write("anchors.yaml", &yaml);
        self.raw("yaml-anchors", true, path);
        let path = world.write("number.yaml", &yaml.replace(&world.token, "12345"));
        self.raw("token-a-number", false, path).names = "token";
    }

    fn users(&mut self) {
        let world = self.world;
        let file = world.write("token", &format!("{}\n", world.token));
        let mut add = |name, works, user: Value| {
            let config = config(json!({ "server": world.server, "certificate-authority": "ca.crt" }), user);
            let kubeconfig = world.write(&format!("{name}.yaml"), &config.to_string());
            self.raw(name, works, kubeconfig);
        };
        add("token", true, json!({ "token": world.token }));
        add("wrong-token", false, json!({ "token": "none" }));
        add("token-file", true, json!({ "tokenFile": "token" }));
        add("token-file-first", true, json!({ "token": "none", "tokenFile": file }));
        add("token-instead-of-file", true, json!({ "token": world.token, "tokenFile": "/nonexistent" }));
        add("no-token-file", false, json!({ "tokenFile": "/nonexistent" }));
        add("token-and-password", false, json!({ "token": world.token, "username": "me", "password": "x" }));
        add("certificate-without-key", false, json!({ "client-certificate": "admin.crt" }));
        add("anonymous", false, json!({}));
        add("no-exec-command", false, json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1" } }));
        add("gcp", false, json!({ "auth-provider": { "name": "gcp" } }));
        let robot = json!({ "token": world.token });
        let act_as = json!({ "as": "system:admin", "as-groups": ["system:masters"], "as-uid": "7",
            "as-user-extra": { "example.com/Reason": ["test", "more"] } });
        add("impersonated", true, joined(robot.clone(), act_as));
        add("impersonated-powerless", false, joined(robot.clone(), json!({ "as": "jane" })));
        add("groups-alone", false, joined(robot, json!({ "as-groups": ["system:masters"] })));
    }

    fn plugins(&mut self) {
        const V1: &str = "client.authentication.k8s.io/v1";
        const BETA: &str = "client.authentication.k8s.io/v1beta1";
        let world = self.world;
        world.plugin("plain", "", V1);
        world.plugin("beta", "test \"$1 $NAMED\" = 'a b' || exit 9", BETA);
        world.plugin("cloud", "test -n \"$AWS_SECRET_ACCESS_KEY\" || exit 253", V1);
        world.plugin(
            "info",
            "case $KUBERNETES_EXEC_INFO in *ca-of-it*'\"server\":\"https://127.0.0.1'*|*'\"server\":\"https://127.0.0.1'*ca-of-it*) ;; *) exit 8;; esac",
            V1,
        );
        world.plugin(
            "alone",
            "test -t 0 && exit 7; case $KUBERNETES_EXEC_INFO in *'\"interactive\":true'*) exit 6;; esac",
            V1,
        );
        world.plugin("broken", "echo 'the session of canary-0123 is over' >&2; exit 3", V1);
        let mut add = |name, works, exec: Value, names: &'static str| {
            let mut cluster = json!({ "server": world.server, "certificate-authority": "ca.crt" });
            cluster["extensions"] =
                json!([{ "name": "client.authentication.k8s.io/exec", "extension": { "a": "ca-of-it" } }]);
            let kubeconfig =
                world.write(&format!("exec-{name}.yaml"), &config(cluster, json!({ "exec": exec })).to_string());
            let shape = self.raw(name, works, kubeconfig);
            shape.names = names;
            shape.variables = vec![("AWS_SECRET_ACCESS_KEY", "key".into()), ("CANARY", "canary-0123".into())];
        };
        let exec = |command: &str, more: Value| {
            joined(json!({ "apiVersion": V1, "command": command, "interactiveMode": "Never" }), more)
        };
        add("exec", true, exec("./plain", json!({})), "");
        add(
            "exec-beta",
            true,
            json!({ "apiVersion": BETA, "command": world.file("beta"), "args": ["a"],
            "env": [{ "name": "NAMED", "value": "b" }] }),
            "",
        );
        add("exec-cloud", true, exec("./cloud", json!({ "env": null })), "");
        add("exec-info", true, exec("./info", json!({ "provideClusterInfo": true })), "");
        add("exec-no-info", false, exec("./info", json!({})), "exit status: 8");
        add("exec-if-available", true, exec("./alone", json!({ "interactiveMode": "IfAvailable" })), "");
        add("exec-always", false, exec("./plain", json!({ "interactiveMode": "Always" })), "interactiveMode");
        add("exec-no-mode", false, json!({ "apiVersion": V1, "command": "./plain" }), "interactiveMode");
        add(
            "exec-broken",
            false,
            exec("./broken", json!({ "env": [{ "name": "X", "value": "canary-0123" }] })),
            "the session of *** is over",
        );
        add(
            "exec-missing",
            false,
            exec("no-such-plugin", json!({ "installHint": "brew install it" })),
            "brew install it",
        );
        add("exec-other-version", false, json!({ "apiVersion": BETA, "command": "./plain" }), BETA);
        add(
            "exec-alpha",
            false,
            exec("./plain", json!({ "apiVersion": "client.authentication.k8s.io/v1alpha1" })),
            BETA,
        );
    }

    fn certificates(&mut self) {
        let world = self.world;
        let user = self.token();
        for (name, works, names) in [
            ("own-root", true, ""),
            ("own-leaf", true, ""),
            ("issued", true, ""),
            ("issued-ca", true, ""),
            ("pinned", true, ""),
            ("expired", false, "2021-01-01"),
            ("future", false, "2090-01-01"),
            ("other-host", false, "api.example, 10.1.2.3"),
            ("no-san", false, "subjectAltName"),
            ("for-clients", false, "certificate"),
            ("unknown", false, "certificate"),
            ("old-authority", false, "old authority"),
        ] {
            let authority = &world.certificates.iter().find(|(known, _)| *known == name).unwrap().1;
            let cluster = json!({ "server": format!("https://127.0.0.1:{}", world.port(name)),
                "certificate-authority-data": STANDARD.encode(authority) });
            self.add(name, works, &config(cluster, user.clone())).names = names;
        }
        let cluster = self.cluster();
        let mut with = |name, works, more: Value, names: &'static str| {
            self.add(name, works, &config(joined(cluster.clone(), more), user.clone())).names = names;
        };
        with("tls-server-name", true, json!({ "tls-server-name": "kubernetes" }), "");
        with("wrong-tls-server-name", false, json!({ "tls-server-name": "api.example" }), "api.example");
        with("insecure", true, json!({ "certificate-authority": null, "insecure-skip-tls-verify": true }), "");
        with("insecure-with-ca", false, json!({ "insecure-skip-tls-verify": true }), "insecure-skip-tls-verify");
        // SSL_CERT_FILE of the sandbox holds its authority.
        with("no-ca", true, json!({ "certificate-authority": "" }), "");
        let bare = world.server.trim_start_matches("https://").to_owned();
        with("no-scheme", false, json!({ "server": bare }), "https");
        with("prefix", true, json!({ "server": format!("http://127.0.0.1:{}/k8s/cluster", world.port("old")) }), "");
        with("tls-to-plain", false, json!({ "server": format!("https://127.0.0.1:{}", world.port("http")) }), "TLS");
    }

    fn proxies(&mut self) {
        let world = self.world;
        let user = self.token();
        let address = |scheme: &str, gateway: &str| format!("{scheme}127.0.0.1:{}", world.port(gateway));
        let port = world.server.rsplit(':').next().unwrap();
        let mut far = self.cluster();
        far["server"] = format!("https://api.shapes.test:{port}").into();
        far["tls-server-name"] = "kubernetes".into();
        let near = self.cluster();
        let mut proxied = |name, works, proxy: String, names: &'static str| {
            let cluster = joined(near.clone(), json!({ "proxy-url": proxy }));
            let shape = self.add(name, works, &config(cluster, user.clone()));
            shape.names = names;
            shape.variables = vec![("NO_PROXY", "127.0.0.1".into())];
        };
        proxied("proxy-url-http", true, address("http://", "http"), "");
        proxied("proxy-url-socks5", true, address("socks5://", "socks"), "");
        proxied("proxy-url-password", true, address("http://me:pa%40ss@", "http-password"), "");
        proxied("proxy-url-no-password", false, address("http://", "http-password"), "password");
        proxied("proxy-url-socks5-password", true, address("socks5://me:pa%40ss@", "socks-password"), "");
        proxied("proxy-url-socks5-wrong", false, address("socks5://me:no@", "socks-password"), "socks5");
        proxied("proxy-url-refused", false, "http://127.0.0.1:1".into(), "http://127.0.0.1:1");
        proxied("proxy-url-scheme", false, address("ftp://", "http"), "ftp");
        let plain = json!({ "server": format!("http://127.0.0.1:{}/k8s/cluster", world.port("old")) });
        for (name, works, proxy) in [
            ("plain-proxy-url", true, address("http://", "absolute")),
            ("plain-proxy-url-password", true, address("http://me:pa%40ss@", "absolute-password")),
            ("plain-proxy-url-no-password", false, address("http://", "absolute-password")),
        ] {
            let cluster = joined(plain.clone(), json!({ "proxy-url": proxy }));
            self.add(name, works, &config(cluster, json!({})));
        }
        let roots = [
            fs::read_to_string(world.folder.join("ca.crt")).unwrap(),
            world.certificates.iter().find(|(name, _)| *name == "https-proxy").unwrap().1.clone(),
        ];
        let cluster = json!({ "server": world.server, "certificate-authority-data": STANDARD.encode(roots.concat()),
            "proxy-url": address("https://", "https-proxy") });
        self.add("proxy-url-https", true, &config(cluster, user.clone()));
        let mut from_environment = |name, works, cluster: &Value, variables: &[(&'static str, String)]| {
            self.add(name, works, &config(cluster.clone(), user.clone())).variables = variables.to_vec();
        };
        let proxy = address("http://", "http");
        let one = |name, value: &str| [(name, value.to_owned())];
        from_environment("variable", true, &far, &one("HTTPS_PROXY", &proxy));
        from_environment("variable-lower-case", true, &far, &one("https_proxy", &proxy));
        from_environment("variable-without-scheme", true, &far, &one("HTTPS_PROXY", &address("", "http")));
        from_environment("variable-socks5", true, &far, &one("HTTPS_PROXY", &address("socks5://", "socks")));
        from_environment("variable-socks5h", true, &far, &one("HTTPS_PROXY", &address("socks5h://", "socks")));
        from_environment("variable-of-http", false, &far, &one("HTTP_PROXY", &proxy));
        from_environment("loopback", true, &near, &one("HTTPS_PROXY", "http://127.0.0.1:1"));
        for (name, works, list) in [
            ("except-proxy-itself", true, "127.0.0.1".to_owned()),
            ("except-network-of-proxy", true, "127.0.0.0/8,10.0.0.0/8".to_owned()),
            ("except-suffix", false, "localhost, .shapes.test".to_owned()),
            ("except-star", false, "*".to_owned()),
            ("except-port", false, format!("api.shapes.test:{port}")),
            ("except-other-port", true, "api.shapes.test:1".to_owned()),
            ("except-child", true, "x.api.shapes.test".to_owned()),
        ] {
            from_environment(name, works, &far, &[("HTTPS_PROXY", proxy.clone()), ("NO_PROXY", list)]);
        }
        let refused = self.add("variable-refused", false, &config(far, user));
        refused.variables = one("HTTPS_PROXY", "http://127.0.0.1:1").to_vec();
        refused.names = "through the proxy http://127.0.0.1:1 (HTTPS_PROXY)";
    }
}

#[test]
fn the_cluster_is_reached_exactly_where_kubectl_reaches_it() {
    let runtime = Runtime::new().unwrap();
    let world = Scenario::up(&runtime);
    let mut table = Table { world: &world, shapes: Vec::new() };
    table.files();
    table.users();
    table.plugins();
    table.certificates();
    table.proxies();
    let mut wrong = Vec::new();
    for shape in &table.shapes {
        let (theirs, by_kubectl, user, way) = world.ran(shape, "kubectl");
        let (ours, by_us, our_user, our_way) = world.ran(shape, "tailwatch");
        let said = format!("kubectl: {}tailwatch: {}", theirs.stderr, ours.stderr);
        let unwrapped = ours.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = (shape.works, shape.works);
        if (by_kubectl, by_us) != expected || !by_us && ours.code != Some(4) {
            wrong.push(format!("{}: reached by kubectl {by_kubectl}, by us {by_us}\n{said}", shape.name));
        } else if by_us && (&user, &way) != (&our_user, &our_way) {
            wrong.push(format!("{}: {user:?} by {way:?}, we {our_user:?} by {our_way:?}\n{said}", shape.name));
        } else if !shape.names.is_empty() && !unwrapped.contains(shape.names) {
            wrong.push(format!("{}: {:?} is missing\n{said}", shape.name, shape.names));
        } else if ["pa@ss", "pa%40ss", "canary-0123", &world.token].iter().any(|secret| ours.stderr.contains(secret)) {
            wrong.push(format!("{}: a secret is shown\n{said}", shape.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), table.shapes.len(), wrong.join("\n"));
    every_command_works_without_aggregated_discovery(&world);
}

/// A server that ignores the Accept header of aggregated discovery answers group by group.
fn every_command_works_without_aggregated_discovery(world: &Scenario) {
    let sandbox = &world.sandbox;
    let server = format!("http://127.0.0.1:{}/k8s/cluster", world.port("old"));
    let kubeconfig = world.write("old.json", &config(json!({ "server": server }), json!({})).to_string());
    let old = world.gateways.iter().find(|gateway| gateway.name == "old").unwrap();
    old.take();
    sandbox.install(&["--kubeconfig", &kubeconfig, "--skip-verify"]).ended_with(0);
    assert!(!sandbox.releases().is_empty());
    // One request for each group of the API at the least.
    let groups = sandbox.kubectl(&["api-versions"]).lines().count();
    assert!(old.take() > groups);
    sandbox.tailwatch(&["verify", "--kubeconfig", &kubeconfig]).ended_with(0);
    sandbox.tailwatch(&["upgrade", "--latest", "--yes", "--skip-verify", "--kubeconfig", &kubeconfig]).ended_with(0);
    sandbox.kubectl(&["create", "configmap", "foreign", "-n", "monitoring"]);
    sandbox.tailwatch(&["uninstall", "--delete-data", "--yes", "--kubeconfig", &kubeconfig]).ended_with(0);
    let left = sandbox.kubectl(&["get", "configmap", "foreign", "-n", "monitoring", "-o", "name"]);
    assert_eq!((left.trim(), sandbox.releases().len()), ("configmap/foreign", 0));
}
