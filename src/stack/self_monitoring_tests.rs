use std::fmt::Write as _;

use super::*;
use crate::config::{ChartValues, settings_for_tests};
use crate::stack::desired::tests::{desired_releases, facts, release};
use crate::stack::{DASHBOARDS, Release};

const STACK: &str = "kube-prometheus-stack";

fn dashboards(releases: &[Release]) -> BTreeMap<String, Value> {
    let objects = release(releases, STACK).objects.iter().map(|object| &object.manifest);
    let mut maps = objects.filter(|object| object["kind"] == "ConfigMap" && object["metadata"]["name"] == DASHBOARDS);
    let map = maps.next().unwrap();
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let files = map["data"].as_object().unwrap().iter();
    files.map(|(file, text)| (file.clone(), serde_json::from_str(text.as_str().unwrap()).unwrap())).collect()
}

fn groups(releases: &[Release]) -> Value {
    release(releases, STACK).values[RULES_MAP][NAME]["groups"].clone()
}

fn alerts(groups: &Value) -> Vec<&str> {
    let rules = groups.as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array().unwrap());
    rules.map(|rule| rule["alert"].as_str().unwrap()).collect()
}

#[test]
fn rules_and_dashboards_are_of_what_is_installed() {
    let mut settings = settings_for_tests();
    let releases = desired_releases(&settings, &facts());
    let all = groups(&releases);
    assert!(alerts(&all).contains(&"GrafanaAbsent") && alerts(&all).contains(&"LokiAbsent"), "{all}");
    assert!(!all.to_string().contains("${"), "{all}");
    assert_eq!(dashboards(&releases).len(), 3);

    settings.logs = LogsMode::None;
    let releases = desired_releases(&settings, &facts());
    let without_logs = groups(&releases);
    assert!(alerts(&without_logs).contains(&"GrafanaAbsent") && !alerts(&without_logs).contains(&"LokiAbsent"));
    assert_eq!(dashboards(&releases).keys().collect::<Vec<_>>(), ["tailwatch-metrics.json"]);

    settings.self_monitoring = false;
    let releases = desired_releases(&settings, &facts());
    assert_eq!(release(&releases, STACK).values.get(RULES_MAP), None);
    assert_eq!(dashboards(&releases), BTreeMap::new());
}

#[test]
fn what_is_not_scraped_has_no_alert_of_its_absence() {
    for (component, path, alert) in [
        (STACK, "grafana.enabled", "GrafanaAbsent"),
        (STACK, "grafana.serviceMonitor.enabled", "GrafanaAbsent"),
        ("oauth2-proxy", "metrics.enabled", "Oauth2ProxyAbsent"),
        ("oauth2-proxy", "metrics.serviceMonitor.enabled", "Oauth2ProxyAbsent"),
        ("loki", "monitoring.serviceMonitor.enabled", "LokiAbsent"),
    ] {
        let mut settings = settings_for_tests();
        let off = path.rsplit('.').fold(json!(false), |value, key| json!({key: value}));
        settings.values.insert(component.parse().unwrap(), ChartValues::literal(off));
        let rules = groups(&desired_releases(&settings, &facts()));
        assert!(!alerts(&rules).contains(&alert), "{path}");
        assert!(!rules.to_string().contains("switches"), "{rules}");
        assert_eq!(alerts(&rules).len(), 9, "{path}: {rules}");
    }
}

#[test]
fn renamed_services_are_in_rules_and_dashboards() {
    let mut settings = settings_for_tests();
    settings.values.insert("loki".parse().unwrap(), ChartValues::literal(json!({"fullnameOverride": "lines"})));
    let releases = desired_releases(&settings, &facts());
    let everything = format!("{}{:?}", release(&releases, STACK).values[RULES_MAP], dashboards(&releases));
    assert!(everything.contains(r#"service=\"lines\""#) && !everything.contains(r#"service=\"loki\""#));
}

#[test]
fn the_rules_are_beside_those_of_the_user_in_the_form_that_the_chart_reads() {
    let of = |own: Value| {
        let mut settings = settings_for_tests();
        settings.values.insert(STACK.parse().unwrap(), ChartValues::literal(own));
        release(&desired_releases(&settings, &facts()), STACK).values.clone()
    };
    let names = |list: &Value| list.as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
    let own = json!({"name": "own", "groups": []});
    let list = of(json!({RULES_LIST: [own]}));
    assert_eq!(names(&list[RULES_LIST]), ["own", NAME]);
    assert!(list.get(RULES_MAP).is_none() && !alerts(&list[RULES_LIST][1]["groups"]).is_empty());
    let map = of(json!({RULES_MAP: {"own": own}}));
    assert_eq!(map[RULES_MAP].as_object().unwrap().keys().collect::<Vec<_>>(), ["own", NAME]);
    let both = of(json!({RULES_MAP: {"own": own}, RULES_LIST: [own]}));
    assert_eq!(names(&both[RULES_LIST]), ["own"], "the chart ignores the list, with or without our rules");
}

#[test]
fn panels_fill_the_rows_of_a_dashboard() {
    for (file, dashboard) in dashboards(&desired_releases(&settings_for_tests(), &facts())) {
        let number = |panel: &Value, key: &str| panel["gridPos"][key].as_u64().unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let mut cells = std::collections::BTreeSet::new();
        for panel in panels {
            for x in number(panel, "x")..number(panel, "x") + number(panel, "w") {
                for y in number(panel, "y")..number(panel, "y") + number(panel, "h") {
                    assert!(x < 24 && cells.insert((x, y)), "{file}: {} overlaps", panel["title"]);
                }
            }
        }
        let height = panels.iter().map(|panel| number(panel, "y") + number(panel, "h")).max().unwrap();
        assert_eq!(cells.len() as u64, 24 * height, "{file}: a row is not full");
    }
}

/// TAILWATCH_WRITE_DOCS=1 writes the page.
#[test]
fn the_page_has_every_alert_and_dashboard() {
    let releases = desired_releases(&settings_for_tests(), &facts());
    let mut page = "# Alerts and dashboards for the stack itself\n\n\
        With `selfMonitoring: true`, the default, Tailwatch adds alert rules and dashboards for the stack. The rules are in the\n\
        PrometheusRule `kube-prometheus-stack-tailwatch`, the dashboards in the ConfigMap `tailwatch-dashboards`; both follow\n\
        the names in your values. `logs: none` leaves out those of Loki and Alloy, `selfMonitoring: false` all of them. What your\n\
        values switch off, or do not let Prometheus scrape, has no alert of its absence.\n\
        `values/self-monitoring.yaml` has their texts and queries. The answer `alerts.receiver` sends alerts to a person or a\n\
        channel: [answers.md](answers.md#where-alerts-go).\n\n\
        The charts' own rules alert on volumes that will be full within four days (`KubePersistentVolumeFillingUp`), on targets\n\
        that are down (`TargetDown`) and on pods that are not ready. No component of the stack has a metric of the certificate on\n\
        the tailnet: the check `grafana-from-tailnet` of `tailwatch verify` reads it.\n\n\
        ## Alerts\n\n| alert | severity | after | meaning and next step |\n|---|---|---|---|\n"
        .to_owned();
    for rule in groups(&releases).as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let text = |path: &str| rule.pointer(path).and_then(Value::as_str).unwrap_or("0m");
        let (name, severity, pending) = (text("/alert"), text("/labels/severity"), text("/for"));
        let (summary, next) = (text("/annotations/summary"), text("/annotations/description"));
        let _ = writeln!(page, "| `{name}` | {severity} | {pending} | {summary} {next} |");
    }
    page.push_str("\n## Dashboards\n");
    for dashboard in dashboards(&releases).values() {
        let titles = dashboard["panels"].as_array().unwrap().iter().map(|panel| panel["title"].as_str().unwrap());
        let lines: String = titles.map(|title| format!("- {title}\n")).collect();
        let _ = write!(page, "\n{}:\n\n{lines}", dashboard["title"].as_str().unwrap());
    }
    page = page.replace("{{ $labels.reason }}", "REASON").replace("{{ $value }}", "NUMBER");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts.md");
    if std::env::var_os("TAILWATCH_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page);
}
