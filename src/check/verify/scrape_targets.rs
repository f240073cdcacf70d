//! Compares the targets of Prometheus with the expected ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::check::api::prometheus::Target;
use crate::check::row::{Finding, State};
use crate::check::some_of;
use crate::check::verify::context::{Expected, ExpectedTargets, StackContext};
use crate::check::verify::service_monitors::expected;
use crate::list::first_of;

/// The scraped address, without the port.
fn host(target: &Target) -> String {
    let url = url::Url::parse(&target.scrape_url).ok();
    url.and_then(|url| url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned())).unwrap_or_default()
}

pub(super) async fn known(context: &StackContext) -> Result<Finding, String> {
    let (expected, found) = futures::try_join!(expected(context), targets(context))?;
    Ok(compare(&expected.targets, &found))
}

fn compare(expected: &ExpectedTargets, found: &[Target]) -> Finding {
    let mut hosts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for target in found {
        hosts.entry(&target.scrape_pool).or_default().insert(host(target));
    }
    let missing: Vec<String> = expected
        .iter()
        .flat_map(|(pool, addresses)| {
            let known = hosts.get(pool.as_str());
            let unknown =
                addresses.iter().filter(move |(address, _)| known.is_none_or(|known| !known.contains(*address)));
            unknown.map(move |(_, name)| format!("{name} ({})", monitor(pool)))
        })
        .collect();
    let count: usize = expected.values().map(BTreeMap::len).sum();
    if expected.is_empty() {
        Finding::fail("the stack has no ServiceMonitor")
    } else if missing.is_empty() {
        Finding::pass(format!(
            "{count} of {count}, from the endpoints of {} monitors; {} targets in all",
            expected.len(),
            found.len()
        ))
    } else {
        Finding::not_yet(format!("unknown to it: {}", some_of(&missing)))
    }
}

/// `serviceMonitor/monitoring/loki/0` -> `ServiceMonitor loki`
fn monitor(pool: &str) -> String {
    let parts: Vec<&str> = pool.split('/').collect();
    let kind = if pool.starts_with("podMonitor/") { "PodMonitor" } else { "ServiceMonitor" };
    format!("{kind} {}", parts.get(2).copied().unwrap_or_default())
}

/// A target that is down or was never scraped is tried again until the deadline: its node may reboot. Then a single one
/// is a failure: its metrics are missing in graphs and alerts.
pub(super) async fn up(context: &StackContext) -> Result<Finding, String> {
    let (expected, found) = futures::try_join!(expected(context), targets(context))?;
    let ours = ours(&expected, &found);
    let finding = describe(&expected.targets, &ours);
    let absent: BTreeSet<&str> = expected.absent.values().map(String::as_str).collect();
    let absent = some_of(&absent.into_iter().collect::<Vec<_>>());
    let is_pass = finding.state == State::Pass && !absent.is_empty();
    Ok(if is_pass { Finding::pass(format!("{}; {absent}", finding.detail)) } else { finding })
}

/// The targets of the expected pools, without those on absent nodes, which Prometheus tries to scrape all the same.
fn ours<'a>(expected: &Expected, found: &'a [Target]) -> Vec<&'a Target> {
    let is_ours = |target: &&Target| {
        expected.targets.contains_key(&target.scrape_pool) && !expected.absent.contains_key(&host(target))
    };
    found.iter().filter(is_ours).collect()
}

/// Targets of a job that are reported with their reason.
const REPORTED: usize = 3;

/// How many targets of each job are down, and the first of them.
fn describe(expected: &ExpectedTargets, targets: &[&Target]) -> Finding {
    let mut jobs: BTreeMap<&str, (usize, Vec<String>)> = BTreeMap::new();
    for target in targets {
        let (all, down) = jobs.entry(&target.labels.job).or_default();
        *all += 1;
        if target.health != "up" {
            let name = expected.get(&target.scrape_pool).and_then(|pool| pool.get(&host(target)));
            let why = if target.last_error.is_empty() { "not scraped yet" } else { &target.last_error };
            down.push(format!("{}: {why}", name.unwrap_or(&target.labels.instance)));
        }
    }
    let down: Vec<String> = jobs
        .iter()
        .filter(|(_, (_, down))| !down.is_empty())
        .map(|(job, (all, down))| format!("{job}: {} of {all} down ({})", down.len(), first_of(down, REPORTED)))
        .collect();
    if down.is_empty() {
        Finding::pass(format!("{} of {}", targets.len(), targets.len()))
    } else {
        Finding::not_yet(some_of(&down))
    }
}

/// `timestamp(up)` is the start of the last scrape; each job has its own interval.
pub(super) async fn fresh(context: &StackContext) -> Result<Finding, String> {
    let (expected, found) = futures::try_join!(expected(context), targets(context))?;
    let ours = ours(&expected, &found);
    let mut intervals: BTreeMap<String, f64> = BTreeMap::new();
    for target in &ours {
        let interval = intervals.entry(target.labels.job.clone()).or_default();
        *interval = interval.max(seconds(&target.scrape_interval));
    }
    // After a restart of Prometheus, a deleted target returns its last sample for some minutes.
    let active: BTreeSet<(&str, &str)> =
        ours.iter().map(|target| (target.labels.job.as_str(), target.labels.instance.as_str())).collect();
    let mut ages: BTreeMap<String, f64> = BTreeMap::new();
    for (labels, age) in context.prometheus().query("min by (job, instance) (time() - timestamp(up))").await? {
        if active.contains(&(labels.job.as_str(), labels.instance.as_str())) {
            let oldest = ages.entry(labels.job).or_default();
            *oldest = oldest.max(age);
        }
    }
    Ok(judge_ages(&intervals, &ages))
}

fn judge_ages(intervals: &BTreeMap<String, f64>, ages: &BTreeMap<String, f64>) -> Finding {
    let late: Vec<String> = intervals
        .iter()
        .filter_map(|(job, interval)| match ages.get(job) {
            None => Some(format!("{job}: no sample")),
            Some(age) if *age > 2.0 * interval => Some(format!("{job}: {age:.0} s old, scraped every {interval:.0} s")),
            Some(_) => None,
        })
        .collect();
    let oldest = ages.iter().filter(|(job, _)| intervals.contains_key(*job)).map(|(_, age)| *age).fold(0.0, f64::max);
    if late.is_empty() {
        Finding::pass(format!("the oldest of {} jobs is {oldest:.0} s old", intervals.len()))
    } else {
        Finding::not_yet(some_of(&late))
    }
}

/// `1m`, `30s`, `1m30s` as Prometheus prints them; an unknown format is never late.
fn seconds(text: &str) -> f64 {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    parsed.map_or(f64::MAX / 4.0, |duration| duration.as_secs_f64())
}

async fn targets(context: &StackContext) -> Result<Arc<Vec<Target>>, String> {
    context.targets.get_or_request(context.prometheus().active_targets()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::api::prometheus::TargetLabels;

    fn target(pool: &str, host: &str, health: &str, error: &str) -> Target {
        Target {
            scrape_pool: pool.into(),
            scrape_url: format!("http://{host}:9100/metrics"),
            labels: TargetLabels { job: pool.rsplit('/').nth(1).unwrap_or_default().into(), instance: host.into() },
            health: health.into(),
            last_error: error.into(),
            scrape_interval: "30s".into(),
        }
    }

    #[test]
    fn a_target_that_prometheus_does_not_know_is_reported() {
        let pool = "serviceMonitor/monitoring/loki/0";
        let expected =
            ExpectedTargets::from([(pool.to_owned(), BTreeMap::from([("10.0.0.7".to_owned(), "loki-0".to_owned())]))]);
        assert_eq!(compare(&expected, &[]).detail, "unknown to it: loki-0 (ServiceMonitor loki)");
        assert_eq!(
            compare(&expected, &[target(pool, "10.0.0.8", "up", "")]).detail,
            "unknown to it: loki-0 (ServiceMonitor loki)"
        );
        let found = compare(&expected, &[target(pool, "10.0.0.7", "up", "")]);
        assert_eq!(found, Finding::pass("1 of 1, from the endpoints of 1 monitors; 1 targets in all"));
        assert_eq!(compare(&ExpectedTargets::new(), &[]), Finding::fail("the stack has no ServiceMonitor"));
    }

    #[test]
    fn a_target_on_an_absent_node_is_not_judged() {
        let pool = "serviceMonitor/monitoring/alloy/0";
        let targets =
            ExpectedTargets::from([(pool.to_owned(), BTreeMap::from([("10.0.0.1".to_owned(), "alloy-a".into())]))]);
        let absent = BTreeMap::from([("10.0.0.2".to_owned(), "node b is not ready".to_owned())]);
        let found = [target(pool, "10.0.0.1", "up", ""), target(pool, "10.0.0.2", "down", "no route to host")];
        assert_eq!(ours(&Expected { targets, absent }, &found).len(), 1);
    }

    #[test]
    fn a_target_that_is_down_is_reported_with_its_reason() {
        let (a, b, c) = (
            target("s/m/a/0", "1", "up", ""),
            target("s/m/b/0", "2", "down", "refused"),
            target("s/m/c/0", "3", "unknown", ""),
        );
        let describe = |targets: &[&Target]| describe(&ExpectedTargets::new(), targets);
        assert_eq!(describe(&[&a]), Finding::pass("1 of 1"));
        assert_eq!(describe(&[&a, &b, &b]), Finding::not_yet("b: 2 of 2 down (2: refused, 2: refused)"));
        assert_eq!(describe(&[&c]), Finding::not_yet("c: 1 of 1 down (3: not scraped yet)"));
    }

    #[test]
    fn a_job_reports_how_many_are_down_of_how_many_and_names_three() {
        const POOL: &str = "serviceMonitor/monitoring/node-exporter/0";
        let names = (0..10).map(|number| (format!("10.0.0.{number}"), format!("exporter-{number}"))).collect();
        let expected = ExpectedTargets::from([(POOL.to_owned(), names)]);
        let with_down = |count: usize| {
            let health = |number: usize| if number < count { ("down", "no route to host") } else { ("up", "") };
            let targets: Vec<Target> = (0..10)
                .map(|number| target(POOL, &format!("10.0.0.{number}"), health(number).0, health(number).1))
                .collect();
            describe(&expected, &targets.iter().collect::<Vec<_>>())
        };
        assert_eq!(with_down(1), Finding::not_yet("node-exporter: 1 of 10 down (exporter-0: no route to host)"));
        assert_eq!(
            with_down(5).detail,
            "node-exporter: 5 of 10 down (exporter-0: no route to host, exporter-1: no route to host, \
             exporter-2: no route to host and 2 more)"
        );
    }

    #[test]
    fn a_sample_is_late_after_two_intervals_of_its_own_job() {
        let intervals = BTreeMap::from([("loki".to_owned(), 15.0), ("oauth2-proxy".to_owned(), 60.0)]);
        let ages =
            |loki, oauth2_proxy| BTreeMap::from([("loki".to_owned(), loki), ("oauth2-proxy".to_owned(), oauth2_proxy)]);
        assert_eq!(judge_ages(&intervals, &ages(29.0, 110.0)).detail, "the oldest of 2 jobs is 110 s old");
        assert_eq!(judge_ages(&intervals, &ages(31.0, 1.0)).detail, "loki: 31 s old, scraped every 15 s");
        assert_eq!(judge_ages(&intervals, &BTreeMap::new()).detail, "loki: no sample, oauth2-proxy: no sample");
    }
}
