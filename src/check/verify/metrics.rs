//! The metrics path: Prometheus is ready, has the configured retention, knows and reaches its targets, has fresh samples
//! and has loaded its rules.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::check::api::prometheus::{Rule, RuleGroup};
use crate::check::row::{Finding, Row};
use crate::check::runner::Subject as _;
use crate::check::verify::context::StackContext;
use crate::check::verify::parts::{OPERATOR, PROMETHEUS, WEBHOOKS};
use crate::check::verify::scrape_targets;
use crate::check::{monitor_tokens, name_of, some_of};
use crate::cluster::{ClusterError, ObjectRef};
use crate::config::{KUBE_PROMETHEUS_STACK, RetentionPeriod};
use crate::event::Hop;

const METRICS: &str = "metrics";

pub(super) const ROWS: &[Row<StackContext>] = &[
    Row::new("prometheus-ready", METRICS, "Prometheus is ready to serve", |context| Box::pin(ready(context)))
        .with(&[PROMETHEUS])
        .within(60)
        .hint("see the log of pod prometheus-kube-prometheus-stack-prometheus-0"),
    Row::new("prometheus-retention", METRICS, "Prometheus retains samples for the configured period", |context| {
        Box::pin(retention(context))
    })
    .with(&[PROMETHEUS])
    .needs(&["prometheus-ready"])
    .hint("check prometheus.prometheusSpec.retention under `values:`, then run `tailwatch install` again"),
    Row::new("prometheus-config-loaded", METRICS, "Prometheus has loaded its present configuration", |context| {
        Box::pin(config_loaded(context))
    })
    .with(&[PROMETHEUS])
    .needs(&["prometheus-ready"])
    .within(60)
    .hint("see the error in `kubectl -n NAMESPACE logs prometheus-kube-prometheus-stack-prometheus-0 -c prometheus`; correct additionalScrapeConfigs or remoteWrite under prometheus.prometheusSpec in `values:`"),
    Row::new(
        "prometheus-targets-known",
        METRICS,
        "Prometheus knows every target of the stack's ServiceMonitors and PodMonitors",
        |context| Box::pin(scrape_targets::known(context)),
    )
    .with(&[PROMETHEUS])
    .needs(&["prometheus-ready"])
    .within(90)
    .at(Hop::TargetsPrometheus)
    .hint("compare the monitor's selector with the Service's labels, and the Prometheus resource's serviceMonitorSelector with the monitor's labels"),
    Row::new("prometheus-targets-up", METRICS, "every target of the stack answers Prometheus", |context| {
        Box::pin(scrape_targets::up(context))
    })
    .with(&[PROMETHEUS])
    .needs(&["prometheus-targets-known"])
    .within(130)
    .at(Hop::TargetsPrometheus)
    .hint("open http://localhost:9090/targets after `kubectl -n NAMESPACE port-forward svc/kube-prometheus-stack-prometheus 9090`, and see the NetworkPolicies"),
    Row::new("prometheus-samples-fresh", METRICS, "no sample is older than two scrape intervals", |context| {
        Box::pin(scrape_targets::fresh(context))
    })
    .with(&[PROMETHEUS])
    .needs(&["prometheus-targets-up"])
    .within(130)
    .at(Hop::TargetsPrometheus)
    .hint("check for slow scrapes: `scrape_duration_seconds` in Prometheus, and the log of its pod"),
    Row::new("prometheus-rules-loaded", METRICS, "Prometheus has loaded every rule of the stack, and none fails", |context| {
        Box::pin(rules(context))
    })
    .with(&[PROMETHEUS])
    .needs(&["prometheus-ready"])
    .within(90)
    .hint("see the log of the operator: `kubectl -n NAMESPACE logs deploy/kube-prometheus-stack-operator`"),
    Row::new("operator-reconciles", METRICS, "the Prometheus operator reconciles Prometheus and Alertmanager", |context| {
        Box::pin(reconciled(context))
    })
    .with(&[OPERATOR])
    .hint("set `paused: false` in prometheus.prometheusSpec and alertmanager.alertmanagerSpec under `values:`, then run `tailwatch install` again"),
    Row::new("prometheus-token-private", METRICS, "no ServiceMonitor of another namespace is sent the token of Prometheus", |context| {
        Box::pin(token_private(context))
    })
    .with(&[PROMETHEUS])
    .warns()
    .hint(monitor_tokens::HINT),
    Row::new("rules-admitted", METRICS, "the admission webhook accepts a valid PrometheusRule and rejects an invalid one", |context| {
        Box::pin(admission(context))
    })
    .with(&[OPERATOR, WEBHOOKS])
    .within(15)
    .warns()
    .hint("the API server must reach port 10250 of the operator's pod: see the control plane's firewall rules and the NetworkPolicies; until then only the operator's log reports an invalid rule"),
];

async fn ready(context: &StackContext) -> Result<Finding, String> {
    context.prometheus().ready().await.map(|()| Finding::pass(""))
}

async fn retention(context: &StackContext) -> Result<Finding, String> {
    let found = context.prometheus().storage_retention().await?;
    let expected = context.value(KUBE_PROMETHEUS_STACK, "/prometheus/prometheusSpec/retention");
    let expected = expected.and_then(Value::as_str).unwrap_or_default();
    let size = context.value(KUBE_PROMETHEUS_STACK, "/prometheus/prometheusSpec/retentionSize");
    let size = size.and_then(Value::as_str);
    Ok(if retention_matches(&found, expected, size) {
        Finding::pass(found)
    } else {
        let size = size.map(|size| format!(" or {size}")).unwrap_or_default();
        Finding::fail(format!("its retention is {found}, expected {expected}{size}"))
    })
}

fn retention_matches(found: &str, expected: &str, size: Option<&str>) -> bool {
    let mut parts = found.split(" or ");
    let period = |text: &str| text.parse::<RetentionPeriod>().ok();
    let same_period = parts.next().and_then(period).is_some_and(|found| Some(found) == period(expected));
    // Prometheus rounds the size to its largest unit, so only its presence is compared.
    same_period && parts.next().is_some() == size.is_some()
}

async fn config_loaded(context: &StackContext) -> Result<Finding, String> {
    Ok(if context.prometheus().config_is_loaded().await? {
        Finding::pass("")
    } else {
        Finding::not_yet("the last reload of its configuration failed; the configuration before it is in effect")
    })
}

/// The operator writes each PrometheusRule to a file `<namespace>-<name>-<uid>.yaml` (prometheus-operator,
/// pkg/prometheus/rules.go); `/api/v1/rules` returns each group with its file and each rule's health.
async fn rules(context: &StackContext) -> Result<Finding, String> {
    let found = context.prometheus().rule_groups().await?;
    let expected: Vec<(String, BTreeSet<String>)> = context
        .objects("PrometheusRule")
        .into_iter()
        .map(|(namespace, rule)| {
            let groups = rule.pointer("/spec/groups").and_then(Value::as_array).into_iter().flatten();
            let file = format!("{namespace}-{}-", name_of(rule));
            (file, groups.filter_map(|group| group["name"].as_str().map(str::to_owned)).collect())
        })
        .collect();
    Ok(judge_groups(&found, &expected))
}

fn judge_groups(groups: &[RuleGroup], expected: &[(String, BTreeSet<String>)]) -> Finding {
    let is_loaded = |file: &str, name: &str| {
        groups.iter().any(|group| group.name == name && group.file.contains(&format!("/{file}")))
    };
    let missing: Vec<String> =
        expected.iter().flat_map(|(file, names)| names.iter().filter(|name| !is_loaded(file, name)).cloned()).collect();
    if !missing.is_empty() {
        return Finding::not_yet(format!("not loaded: {}", some_of(&missing)));
    }
    let rules: Vec<&Rule> = groups.iter().flat_map(|group| &group.rules).collect();
    let failing: Vec<String> = rules
        .iter()
        .filter(|rule| rule.health == "err")
        .map(|rule| format!("{} ({})", rule.name, rule.last_error))
        .collect();
    if failing.is_empty() {
        Finding::pass(format!("{} rules in {} groups", rules.len(), groups.len()))
    } else {
        Finding::not_yet(format!("failing: {}", some_of(&failing)))
    }
}

/// With `spec.paused` the operator leaves the StatefulSet of a resource as it is (monitoring.coreos.com/v1).
async fn reconciled(context: &StackContext) -> Result<Finding, String> {
    let mut paused = Vec::new();
    for kind in ["Prometheus", "Alertmanager"] {
        for (namespace, rendered) in context.objects(kind) {
            let object = ObjectRef { namespace: Some(namespace.to_owned()), ..ObjectRef::of(rendered) };
            let live = context.cluster.get(&object).await.map_err(|error| error.to_string())?;
            if live.is_some_and(|live| live["spec"]["paused"] == true) {
                paused.push(format!("{kind} {}", name_of(rendered)));
            }
        }
    }
    Ok(if paused.is_empty() {
        Finding::pass("")
    } else {
        Finding::fail(format!("spec.paused is true, so changes have no effect: {}", paused.join(", ")))
    })
}

async fn token_private(context: &StackContext) -> Result<Finding, String> {
    let mut found = Vec::new();
    for (namespace, prometheus) in context.objects("Prometheus") {
        match monitor_tokens::read(&context.cluster, (prometheus, namespace)).await {
            Ok(monitors) => found.extend(monitors),
            Err(ClusterError::Forbidden { message }) => return Ok(Finding::forbidden(&message)),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(monitor_tokens::judge(&found))
}

/// The webhook's failurePolicy is Ignore: only a rejection proves that the API server reaches it.
async fn admission(context: &StackContext) -> Result<Finding, String> {
    let rule = |expression: &str| {
        json!({
            "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
            "metadata": {"name": "tailwatch-verify", "namespace": context.namespace()},
            "spec": {"groups": [{"name": "tailwatch-verify", "rules": [{"record": "tailwatch:verify", "expr": expression}]}]},
        })
    };
    let (valid, invalid) = (rule("vector(1)"), rule("sum("));
    let (valid, invalid) = tokio::join!(context.cluster.would_create(&valid), context.cluster.would_create(&invalid));
    Ok(match (valid, invalid) {
        (Err(error), _) => {
            Finding::not_yet(format!("a valid rule is rejected: {}", crate::check::https_client::with_causes(&error)))
        }
        (Ok(()), Ok(())) => Finding::not_yet("an invalid rule is admitted: the API server does not reach the webhook"),
        (Ok(()), Err(_)) => Finding::pass("`sum(` is rejected"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;

    #[test]
    fn retention_is_compared_as_a_duration() {
        assert!(retention_matches("15d or 45GiB", "15d", Some("45GiB")));
        assert!(retention_matches("2w", "14d", None));
        assert!(!retention_matches("10d", "15d", None));
        assert!(!retention_matches("15d", "15d", Some("45GiB")), "the size is missing");
        assert!(!retention_matches("", "15d", None));
    }

    #[test]
    fn a_group_counts_only_in_its_own_file() {
        let expected = [("monitoring-general-".to_owned(), BTreeSet::from(["general.rules".to_owned()]))];
        let groups = |file: &str, health: &str| -> Vec<RuleGroup> {
            let groups = json!([{"name": "general.rules", "file": file,
                    "rules": [{"name": "Watchdog", "health": health, "lastError": "bad matrix"}]}]);
            serde_json::from_value(groups).unwrap()
        };
        let file = "/etc/prometheus/rules/rulefiles-0/monitoring-general-1a2b.yaml";
        assert_eq!(judge_groups(&groups(file, "ok"), &expected), Finding::pass("1 rules in 1 groups"));
        let other = judge_groups(&groups("/etc/prometheus/rules/x/other-general-1.yaml", "ok"), &expected);
        assert_eq!(other, Finding::not_yet("not loaded: general.rules"));
        let failing = judge_groups(&groups(file, "err"), &expected);
        assert_eq!((failing.state, failing.detail.as_str()), (State::NotYet, "failing: Watchdog (bad matrix)"));
    }
}
