use super::*;
use crate::config::{ChartValues, ChartsLock, LockedChart, OperatorMode, OperatorPlan, Secret, settings_for_tests};
use crate::stack::{
    GRAFANA_SECRET, NodeState, NodeStates, OAUTH2_PROXY_SECRET, RecordedCharts, WEBHOOK_SECRET, manifests,
};

pub(in crate::stack) fn facts() -> ClusterFacts {
    let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    ClusterFacts { now, ..ClusterFacts::unknown(OperatorMode::Present) }
}

pub(in crate::stack) fn release<'a>(releases: &'a [Release], name: &str) -> &'a Release {
    releases.iter().find(|release| release.component.as_str() == name).unwrap()
}

pub(in crate::stack) fn desired_releases(settings: &Settings, facts: &ClusterFacts) -> Vec<Release> {
    desired(&Catalogue::embedded().unwrap(), settings, facts).unwrap()
}

#[test]
fn every_answer_reaches_its_value() {
    let releases = desired_releases(&settings_for_tests(), &facts());
    let waves: Vec<u8> = releases.iter().map(|release| release.wave).collect();
    assert_eq!(waves, [30, 30, 32, 33]);
    let stack = &release(&releases, "kube-prometheus-stack").values;
    assert_eq!(stack["prometheus"]["prometheusSpec"]["retention"], "15d");
    assert_eq!(stack["prometheus"]["prometheusSpec"]["retentionSize"], "45GiB");
    assert_eq!(stack["kubeEtcd"]["enabled"], false);
    assert_eq!(stack["grafana"]["grafana.ini"]["server"]["root_url"], "https://grafana.tail1a2b.ts.net/");
    let claim = &stack["prometheus"]["prometheusSpec"]["storageSpec"]["volumeClaimTemplate"]["spec"];
    assert!(claim.get("storageClassName").is_none(), "an absent class leaves no key: {claim}");
    let oauth2_proxy = release(&releases, "oauth2-proxy").values["config"]["configFile"].as_str().unwrap().to_owned();
    assert!(oauth2_proxy.contains(r#"allowed_groups = ["infra-admins","monitoring-admins"]"#), "{oauth2_proxy}");
    assert!(
        oauth2_proxy.contains(r#"redirect_url = "https://grafana.tail1a2b.ts.net/oauth2/callback""#),
        "{oauth2_proxy}"
    );
    assert_eq!(release(&releases, "loki").values["loki"]["limits_config"]["retention_period"], "168h");
    let alloy = release(&releases, "alloy").values["alloy"]["configMap"]["content"].as_str().unwrap().to_owned();
    assert!(alloy.contains("older_than          = \"167h\"") && alloy.contains("/var/log/pods/$1_$2_*/$3/*.log"));
}

#[test]
fn a_pod_security_level_of_another_field_manager_is_left_as_it_is() {
    let labels = |facts: &ClusterFacts| {
        let releases = desired_releases(&settings_for_tests(), facts);
        let mut own = release(&releases, "kube-prometheus-stack").objects.iter().map(|own| own.manifest.clone());
        own.find(|object| object["kind"] == "Namespace").unwrap()["metadata"]["labels"].clone()
    };
    assert_eq!(labels(&facts())[manifests::ENFORCED_LEVEL], "privileged");
    let enforced = ("monitoring".to_owned(), manifests::ENFORCED_LEVEL.to_owned());
    let labels = labels(&ClusterFacts { foreign_levels: [enforced].into(), ..facts() });
    assert!(labels.get(manifests::ENFORCED_LEVEL).is_none(), "{labels}");
    assert_eq!(labels["pod-security.kubernetes.io/warn"], "privileged");
}

#[test]
fn the_users_values_are_merged_last() {
    let mut settings = settings_for_tests();
    let over = json!({
        "loki": {"auth_enabled": true},
        "singleBinary": {"resources": {"limits": {"cpu": 1}}},
        "lokiCanary": {"tolerations": null},
    });
    settings.values.insert("loki".parse().unwrap(), ChartValues::literal(over));
    let releases = desired_releases(&settings, &facts());
    let values = &release(&releases, "loki").values;
    assert_eq!(values["loki"]["auth_enabled"], true);
    assert_eq!(values["loki"]["commonConfig"]["replication_factor"], 1);
    assert_eq!(values["singleBinary"]["resources"]["limits"]["cpu"], 1);
    assert_eq!(values["lokiCanary"].get("tolerations"), Some(&Value::Null), "helm removes the chart's default");
}

#[test]
fn own_values_that_need_more_have_the_permissions_of_the_chart() {
    let rules = |component: &str, own: Value| {
        let mut settings = settings_for_tests();
        settings.values.insert(component.parse().unwrap(), ChartValues::literal(own));
        let releases = desired_releases(&settings, &facts());
        let values = &release(&releases, component).values;
        if component == "alloy" { values["rbac"].clone() } else { values["grafana"]["rbac"].clone() }
    };
    let pods = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]);
    assert_eq!(rules("alloy", json!({"serviceMonitor": {"interval": "30s"}}))["rules"], pods);
    assert_eq!(rules("alloy", json!({"alloy": {"configMap": {"content": "logging {}"}}})), Value::Null);
    let of_grafana = |own: Value| rules("kube-prometheus-stack", json!({"grafana": own}));
    assert_eq!(of_grafana(json!({"replicas": 2})), json!({"create": false}));
    assert_eq!(of_grafana(json!({"sidecar": {"dashboards": {"searchNamespace": "ALL"}}})), Value::Null);
    assert_eq!(of_grafana(json!({"rbac": {"extraRoleRules": []}})), json!({"extraRoleRules": []}));
}

#[test]
fn a_mirror_has_the_archives_of_the_publisher_unless_the_answers_say_otherwise() {
    let mut settings = settings_for_tests();
    let loki = |settings: &Settings| release(&desired_releases(settings, &facts()), "loki").chart.digests.clone();
    let published = loki(&settings);
    assert!(published.iter().any(|known| known.source == DigestSource::Catalogue));
    settings.charts.repacked = true;
    assert_eq!(loki(&settings), published, "the publisher's own repository");
    settings.charts.repository = Some("https://mirror.example/charts".parse().unwrap());
    assert_eq!(loki(&settings), []);
    settings.charts.repacked = false;
    assert_eq!(loki(&settings), published);
    let releases = desired_releases(&settings, &facts());
    assert_eq!(release(&releases, "alloy").chart.repository.as_str(), "https://mirror.example/charts");
}

#[test]
fn the_record_of_earlier_runs_is_compared_where_the_catalogue_has_no_digest() {
    let published = settings_for_tests();
    let mut repacked = published.clone();
    repacked.charts.repacked = true;
    repacked.charts.repository = Some("https://mirror.example/charts".parse().unwrap());
    let with_record = |settings: &Settings| -> Vec<Vec<KnownDigest>> {
        let mut facts = facts();
        let charts = desired_releases(settings, &facts).into_iter().map(|release| release.chart.recorded("aa"));
        facts.charts = RecordedCharts::default().after(charts.collect());
        desired_releases(settings, &facts).into_iter().map(|release| release.chart.digests).collect()
    };
    let is_from = |found: Vec<Vec<KnownDigest>>, source: DigestSource| {
        found.iter().all(|known| matches!(&known[..], [known] if known.source == source))
    };
    assert!(is_from(with_record(&published), DigestSource::Catalogue));
    assert!(is_from(with_record(&repacked), DigestSource::Cluster { namespace: "monitoring".into() }));
}

#[test]
fn the_lock_file_counts_beside_the_publisher_and_names_what_it_lacks() {
    let mut settings = settings_for_tests();
    let path = std::path::PathBuf::from("charts.lock");
    let chart = desired_releases(&settings, &facts()).remove(2).chart;
    let locked = LockedChart {
        chart: chart.name.clone(),
        version: chart.version.to_string(),
        repository: chart.repository.to_string(),
        sha256: "0a".into(),
    };
    settings.charts.lock = Some(ChartsLock { path: path.clone(), charts: vec![locked] });
    let releases = desired_releases(&settings, &facts());
    for release in &releases {
        let sources: Vec<&DigestSource> = release.chart.digests.iter().map(|known| &known.source).collect();
        let lock = DigestSource::Lock { path: path.clone() };
        match release.chart.name == chart.name {
            true => assert_eq!((sources, &release.chart.missing_in), (vec![&DigestSource::Catalogue, &lock], &None)),
            false => {
                assert_eq!((sources, &release.chart.missing_in), (vec![&DigestSource::Catalogue], &Some(path.clone())))
            }
        }
    }
}

#[test]
fn secrets_are_kept_and_never_reach_values() {
    let settings = settings_for_tests();
    let first = desired_releases(&settings, &facts());
    let data = |releases: &[Release], component: &str, secret: &str| {
        let objects = &release(releases, component).objects;
        objects.iter().find(|object| object.manifest["metadata"]["name"] == secret).unwrap().secret_data.clone()
    };
    let oauth2_proxy = data(&first, "oauth2-proxy", OAUTH2_PROXY_SECRET);
    let mut later = facts();
    later.oauth2_proxy = Some(oauth2_proxy.clone());
    later.grafana = Some(data(&first, "kube-prometheus-stack", GRAFANA_SECRET));
    later.webhook = Some(data(&first, "kube-prometheus-stack", WEBHOOK_SECRET));
    let mut without = settings.clone();
    without.auth0.client_secret = None;
    let second = desired_releases(&without, &later);
    assert!(data(&second, "oauth2-proxy", OAUTH2_PROXY_SECRET) == oauth2_proxy);
    for (one, other) in first.iter().zip(&second) {
        assert_eq!(one.values, other.values, "{}", one.component);
    }
    let everything = first.iter().map(|release| release.values.to_string()).collect::<String>();
    assert!(!everything.contains("s3cret"), "the client secret is in a values document");
    assert!(!format!("{first:?}").contains("s3cret"), "Debug shows the client secret");
}

#[test]
fn a_missing_secret_is_an_error_with_a_hint() {
    let mut settings = settings_for_tests();
    settings.auth0.client_secret = None;
    let error = desired(&Catalogue::embedded().unwrap(), &settings, &facts()).unwrap_err();
    assert!(matches!(error, StackError::ClientSecretMissing { .. }));
    assert!(error.hint().unwrap().contains("AUTH0_CLIENT_SECRET"));
}

#[test]
fn the_operator_is_installed_only_if_needed() {
    let mut settings = settings_for_tests();
    let mut facts = facts();
    facts.tailscale_operator = OperatorPlan::Install;
    let catalogue = Catalogue::embedded().unwrap();
    assert!(matches!(desired(&catalogue, &settings, &facts), Err(StackError::OperatorCredentialsMissing { .. })));
    settings.tailscale.oauth_client_id = Some("id".into());
    settings.tailscale.oauth_client_secret = Some(Secret::new("s".into()));
    let releases = desired(&catalogue, &settings, &facts).unwrap();
    assert_eq!((releases[0].wave, releases[0].namespace.as_str()), (20, "tailscale"));
}

/// As docs/answers.md says.
#[test]
fn every_chart_but_that_of_the_tailscale_operator_has_the_digest_of_its_publisher() {
    let catalogue = Catalogue::embedded().unwrap();
    let pinned = |component: &&Component| component.row.digests.values().all(Option::is_none);
    let names = catalogue.components.iter().filter(pinned).map(|component| component.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["tailscale-operator"]);
}

/// Every object below a key `nodeSelector`, with its path.
fn selectors(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    let Value::Object(map) = value else { return };
    for (key, child) in map {
        let path = format!("{path}/{key}");
        if key == "nodeSelector" {
            found.push((path.clone(), child.clone()));
        }
        selectors(child, &path, found);
    }
}

#[test]
fn pods_are_kept_off_nodes_that_cannot_run_them() {
    let mut facts = facts();
    let node = |name: &str, architecture: &str| NodeState {
        name: name.into(),
        os: "linux".into(),
        architecture: architecture.into(),
        ..NodeState::default()
    };
    facts.nodes = NodeStates(vec![node("a", "amd64"), node("b", "s390x")]);
    facts.tailscale_operator = OperatorPlan::Install;
    let mut settings = settings_for_tests();
    settings.tailscale.oauth_client_id = Some("id".into());
    settings.tailscale.oauth_client_secret = Some(Secret::new("s".into()));
    let releases = desired_releases(&settings, &facts);
    let mut found = Vec::new();
    releases.iter().for_each(|release| selectors(&release.values, release.component.as_str(), &mut found));
    assert!(found.iter().all(|(_, selector)| *selector == json!({"kubernetes.io/os": "linux"})), "{found:?}");
    for workload in [
        "kube-prometheus-stack/prometheusOperator",
        "kube-prometheus-stack/prometheusOperator/admissionWebhooks/patch",
        "kube-prometheus-stack/prometheus/prometheusSpec",
        "kube-prometheus-stack/alertmanager/alertmanagerSpec",
        "kube-prometheus-stack/grafana",
        "kube-prometheus-stack/kube-state-metrics",
        "kube-prometheus-stack/prometheus-node-exporter",
        "oauth2-proxy",
        "loki/singleBinary",
        "alloy/controller",
        "tailscale-operator/operatorConfig",
    ] {
        assert!(found.iter().any(|(path, _)| *path == format!("{workload}/nodeSelector")), "{workload}");
        if workload.ends_with("/patch") {
            continue;
        }
        let (component, below) = workload.split_once('/').unwrap_or((workload, ""));
        let pointer =
            format!("{}/affinity/nodeAffinity", if below.is_empty() { String::new() } else { format!("/{below}") });
        let affinity = release(&releases, component).values.pointer(&pointer).unwrap_or(&Value::Null).to_string();
        assert!(affinity.contains("kubernetes.io/arch"), "{workload}: {affinity}");
        let is_daemon_set = workload.ends_with("node-exporter") || component == "alloy";
        assert_eq!(affinity.contains("virtual-kubelet"), is_daemon_set, "{workload}");
    }
}

#[test]
fn proxy_group_and_class_are_on_the_ingress() {
    let mut settings = settings_for_tests();
    settings.tailscale.proxy_group = Some("proxies".parse().unwrap());
    settings.tailscale.proxy_class = Some("small".parse().unwrap());
    let releases = desired_releases(&settings, &facts());
    let objects = releases.iter().flat_map(|release| &release.objects);
    let ingress = objects.map(|object| &object.manifest).find(|object| object["kind"] == "Ingress").unwrap();
    assert_eq!(ingress["metadata"]["annotations"]["tailscale.com/proxy-group"], "proxies");
    assert_eq!(ingress["metadata"]["labels"]["tailscale.com/proxy-class"], "small");
}

#[test]
fn an_organization_is_part_of_every_sign_in() {
    let mut settings = settings_for_tests();
    let config = |settings: &Settings| {
        let releases = desired_releases(settings, &facts());
        release(&releases, "oauth2-proxy").values["config"]["configFile"].as_str().unwrap().to_owned()
    };
    assert!(!config(&settings).contains("skip_oidc_discovery"));
    settings.auth0.organization = Some("org_a1".parse().unwrap());
    let lines = config(&settings);
    let issuer = settings.auth0.issuer.as_str();
    for line in [
        "skip_oidc_discovery = true".to_owned(),
        format!("login_url = \"{issuer}authorize?organization=org_a1\""),
        format!("redeem_url = \"{issuer}oauth/token\""),
        format!("oidc_jwks_url = \"{issuer}.well-known/jwks.json\""),
    ] {
        assert!(lines.lines().any(|found| found == line), "{line} is not in\n{lines}");
    }
}

#[test]
fn values_follow_the_container_runtime_and_the_ip_family() {
    let mut facts = facts();
    let values = |facts: &ClusterFacts, component: &str| {
        release(&desired_releases(&settings_for_tests(), facts), component).values.clone()
    };
    let alloy = values(&facts, "alloy");
    assert_eq!(alloy["alloy"]["mounts"]["dockercontainers"], false);
    assert_eq!(alloy["alloy"].get("listenAddr"), None, "the chart's default");
    assert_eq!(values(&facts, "oauth2-proxy")["extraArgs"], json!({}));
    let loki = values(&facts, "loki");
    assert_eq!(loki["loki"]["commonConfig"].get("ring"), None);
    assert_eq!(loki["loki"]["structuredConfig"]["memberlist"].get("bind_addr"), None);
    let docker = NodeState { name: "a".into(), os: "linux".into(), is_docker: true, ..NodeState::default() };
    facts.nodes = NodeStates(vec![docker]);
    facts.is_ipv6_first = true;
    let alloy = values(&facts, "alloy");
    assert_eq!(alloy["alloy"]["mounts"]["dockercontainers"], true);
    assert_eq!(alloy["alloy"]["listenAddr"], "[::]");
    let arguments = json!({"http-address": "[::]:4180", "metrics-address": "[::]:44180"});
    assert_eq!(values(&facts, "oauth2-proxy")["extraArgs"], arguments);
    let loki = values(&facts, "loki");
    // Loki takes the store of a configured ring from there alone: the default is Consul.
    let ring = json!({"instance_enable_ipv6": true, "kvstore": {"store": "memberlist"}});
    assert_eq!(loki["loki"]["commonConfig"]["ring"], ring);
    assert_eq!(loki["loki"]["structuredConfig"]["memberlist"]["bind_addr"], json!(["::"]));
    let mut settings = settings_for_tests();
    let over = json!({"alloy": {"listenAddr": "0.0.0.0", "mounts": {"dockercontainers": false}}});
    settings.values.insert("alloy".parse().unwrap(), ChartValues::literal(over));
    let alloy = release(&desired_releases(&settings, &facts), "alloy").values.clone();
    assert_eq!(
        (&alloy["alloy"]["listenAddr"], &alloy["alloy"]["mounts"]["dockercontainers"]),
        (&json!("0.0.0.0"), &json!(false))
    );
}

#[test]
fn no_address_depends_on_the_domain_of_the_cluster() {
    for release in desired_releases(&settings_for_tests(), &facts()) {
        assert!(!release.values.to_string().contains("svc.cluster.local"), "{}", release.component);
    }
}

#[test]
fn grafana_forwards_requests_to_prometheus_alone() {
    let releases = desired_releases(&settings_for_tests(), &facts());
    let stack = release(&releases, "kube-prometheus-stack");
    let grafana = &stack.values["grafana"];
    let prometheus = "kube-prometheus-stack-prometheus.monitoring.svc:9090";
    assert_eq!(grafana["grafana.ini"]["security"]["data_source_proxy_whitelist"], prometheus);
    let sources = grafana["datasources"]["datasources.yaml"]["datasources"].as_array().unwrap();
    let kinds: Vec<&str> = sources.iter().map(|source| source["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["prometheus", "loki"]);
    let mut objects = stack.objects.iter().map(|object| &object.manifest);
    let policy = objects.find(|object| object["metadata"]["name"] == "tailwatch-alertmanager").unwrap();
    let rules = policy["spec"]["ingress"].as_array().unwrap().iter();
    let peers = rules.map(|rule| &rule["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"]);
    assert_eq!(peers.collect::<Vec<_>>(), ["prometheus"]);
}

#[test]
fn parts_that_are_off_and_other_names_are_followed() {
    let mut settings = settings_for_tests();
    let stack = json!({"alertmanager": {"enabled": false}, "nodeExporter": {"enabled": false}, "fullnameOverride": "mon",
        "prometheusOperator": {"tls": {"internalPort": 8443}},
        "grafana": {"nameOverride": "graf", "fullnameOverride": "boards", "service": {"port": 8080, "targetPort": 3300}}});
    settings.values.insert("kube-prometheus-stack".parse().unwrap(), ChartValues::literal(stack));
    let logs = json!({"fullnameOverride": "logs", "loki": {"server": {"http_listen_port": 3200}}});
    settings.values.insert("loki".parse().unwrap(), ChartValues::literal(logs));
    let auth = json!({"fullnameOverride": "auth", "service": {"portNumber": 8000}, "containerPort": 4280});
    settings.values.insert("oauth2-proxy".parse().unwrap(), ChartValues::literal(auth));
    let releases = desired_releases(&settings, &facts());
    let stack = release(&releases, "kube-prometheus-stack");
    assert_eq!(stack.switched_off, ["alertmanager.enabled", "nodeExporter.enabled"]);
    assert_eq!((stack.expect["Alertmanager"], stack.expect["DaemonSet"], stack.expect["Deployment"]), (0, 0, 3));
    let sources = stack.values["grafana"]["datasources"]["datasources.yaml"]["datasources"].as_array().unwrap();
    let urls: Vec<&str> = sources.iter().map(|source| source["url"].as_str().unwrap()).collect();
    assert_eq!(urls, ["http://mon-prometheus.monitoring.svc:9090", "http://logs.monitoring.svc:3200"]);
    let security = &stack.values["grafana"]["grafana.ini"]["security"];
    assert_eq!(security["data_source_proxy_whitelist"], "mon-prometheus.monitoring.svc:9090");
    let proxy = release(&releases, "oauth2-proxy");
    let config = proxy.values["config"]["configFile"].as_str().unwrap();
    assert!(config.contains("\"http://boards.monitoring.svc:8080/\""), "{config}");
    let object = |release: &Release, name: &str| {
        let mut objects = release.objects.iter().map(|object| &object.manifest);
        objects.find(|object| object["metadata"]["name"] == name).cloned().unwrap_or_else(|| panic!("no {name}"))
    };
    let backend = &object(proxy, "grafana")["spec"]["defaultBackend"]["service"];
    assert_eq!(*backend, json!({"name": "auth", "port": {"number": 8000}}));
    let policy = object(stack, "tailwatch-grafana");
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"], "graf");
    for (policy, port) in [
        ("tailwatch-grafana", 3300),
        ("tailwatch-loki", 3200),
        ("tailwatch-oauth2-proxy", 4280),
        ("tailwatch-operator", 8443),
        ("tailwatch-prometheus", 9090),
    ] {
        assert_eq!(object(stack, policy)["spec"]["ingress"][0]["ports"][0]["port"], port, "{policy}");
    }
    assert_eq!(object(stack, "mon-admission")["kind"], "Secret");
}
