//! The path of a log line, hop by hop: a probe pod writes it, Alloy reads it on that node, Loki stores it once with its
//! labels, Grafana shows it.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use crate::check::api::loki::{Labels, Logs};
use crate::check::row::Finding;
use crate::check::runner::Subject as _;
use crate::check::verify::context::StackContext;
use crate::check::verify::probe_jobs::{CONTAINER, ProbeJob, Writer, reason};
use crate::check::{name_of, some_of};
use crate::cluster::{ClusterError, lacks_room};
use crate::config::ALLOY;
use crate::event::Hop;
use crate::stack::NodeState;

/// Nodes whose pods are read in parallel.
const PARALLEL: usize = 4;
/// Seconds that a probe runs after it has written: Alloy tails only the logs of existing pods.
const LINGER: u32 = 120;

pub(super) async fn written(context: &StackContext) -> Result<Finding, String> {
    match context.nodes.get_or_try_init(|| create(context)).await {
        Ok(nodes) => judge_written(context, nodes).await.map_err(|error| error.to_string()),
        Err(ClusterError::Forbidden { message }) => Ok(Finding::forbidden(&message)),
        Err(error) => Err(error.to_string()),
    }
}

/// Creates a probe job on evenly selected nodes; returns their names.
async fn create(context: &StackContext) -> Result<Vec<String>, ClusterError> {
    let (nodes, set) =
        futures::try_join!(context.node_states(), context.live("apps/v1", "DaemonSet", context.names.object(ALLOY)))?;
    let running = nodes.covered().filter(|node| node.problem.is_none()).map(|node| node.name.clone());
    let nodes = spread(running.collect(), context.selection.nodes);
    let template = set.as_ref().map(|set| &set["spec"]["template"]["spec"]).unwrap_or(&Value::Null);
    let probe_jobs: Vec<ProbeJob> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| ProbeJob {
            name: index.to_string(),
            node: Some(node),
            command: vec!["sh".into(), "-c".into(), format!("echo '{}'; sleep {LINGER}", line(context))],
            template,
        })
        .collect();
    context.probes.create(&context.cluster, context.namespace(), &probe_jobs).await?;
    Ok(nodes)
}

/// At most `count` of them, at even distances.
fn spread(nodes: Vec<String>, count: usize) -> Vec<String> {
    let (all, count) = (nodes.len(), count.min(nodes.len()));
    (0..count).map(|index| nodes[index * all / count].clone()).collect()
}

fn line(context: &StackContext) -> String {
    format!("tailwatch-verify run={}", context.probes.run)
}

async fn judge_written(context: &StackContext, nodes: &[String]) -> Result<Finding, ClusterError> {
    let pods = context.probes.pods(&context.cluster, context.namespace()).await?;
    let read: Vec<_> = nodes.iter().map(|node| has_written(context, node, &pods)).collect();
    let read: Vec<Option<(&Value, bool)>> = futures::stream::iter(read).buffered(PARALLEL).try_collect().await?;
    let mut writers = Vec::new();
    let mut missing = Vec::new();
    let mut full = Vec::new();
    for (node, found) in nodes.iter().zip(read) {
        let Some((pod, has_written)) = found else {
            missing.push(format!("node {node}: no pod was created"));
            continue;
        };
        if has_written {
            writers.push(Writer { node: node.clone(), pod: name_of(pod).to_owned() });
        } else if let Some(lacking) = lacks_room(pod) {
            full.push(format!("node {node} has no room for a probe pod: {lacking}"));
        } else {
            missing.push(format!("node {node}: {}", reason(pod)));
        }
    }
    if writers.is_empty() && missing.is_empty() && !full.is_empty() {
        return Ok(Finding::skip(some_of(&full)));
    }
    if !missing.is_empty() || writers.is_empty() {
        return Ok(Finding::not_yet(if missing.is_empty() {
            "no node runs the stack's pods".into()
        } else {
            some_of(&missing)
        }));
    }
    let mut detail = vec![format!("on {} nodes", writers.len())];
    detail.extend(full);
    detail.extend(context.node_states().await?.covered().filter_map(NodeState::describe_problem));
    let detail = detail.join("; ");
    let _ = context.writers.set(writers);
    Ok(Finding::pass(detail))
}

/// The pod of the probe on a node, and whether its line is in its log; `None` without a pod.
async fn has_written<'a>(
    context: &StackContext,
    node: &str,
    pods: &'a [Value],
) -> Result<Option<(&'a Value, bool)>, ClusterError> {
    let Some(pod) = pods.iter().find(|pod| is_for(pod, node)) else { return Ok(None) };
    let log = context.cluster.log_of(context.namespace(), name_of(pod)).await?;
    Ok(Some((pod, log.contains(&line(context)))))
}

/// Whether a pod's affinity selects a node, scheduled or not.
fn is_for(pod: &Value, node: &str) -> bool {
    let terms = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0";
    pod.pointer(terms).and_then(|term| term["matchFields"][0]["values"][0].as_str()) == Some(node)
}

fn writers(context: &StackContext) -> &[Writer] {
    context.writers.get().map(Vec::as_slice).unwrap_or_default()
}

pub(super) async fn collected(context: &StackContext) -> Result<Finding, String> {
    let read: Vec<_> = writers(context).iter().map(|writer| has_read(context, writer)).collect();
    let read: Vec<bool> = futures::stream::iter(read).buffered(PARALLEL).try_collect().await?;
    let unread = writers(context).iter().zip(read).filter(|(_, is_read)| !is_read);
    let unread: Vec<String> = unread.map(|(writer, _)| format!("node {}", writer.node)).collect();
    Ok(if unread.is_empty() {
        Finding::pass(format!("{} of {}", writers(context).len(), writers(context).len()))
    } else {
        let finding = Finding::not_yet(format!("Alloy has not read the probe's log on {}", some_of(&unread)));
        let nodes = context.node_states().await.map_err(|error| error.to_string())?;
        hint_of_docker(finding, &unread, &nodes.docker())
    })
}

/// Whether Alloy has read the probe's log on a node.
async fn has_read(context: &StackContext, writer: &Writer) -> Result<bool, String> {
    let pods = context.alloy_pods();
    let alloy = context.cluster.pod_on(&writer.node, (context.namespace(), &pods)).await;
    let alloy = alloy.map_err(|error| error.to_string())?;
    let alloy = alloy.ok_or_else(|| format!("no Alloy pod is on node {}", writer.node))?;
    let metrics = context.alloy().metrics(&alloy).await?;
    Ok(lines_read(&metrics, context.namespace(), &writer.pod) > 0.0)
}

/// `unread`, as reported, and the nodes with Docker.
fn hint_of_docker(finding: Finding, unread: &[String], docker: &[&str]) -> Finding {
    match docker.iter().any(|name| unread.contains(&format!("node {name}"))) {
        true => finding.hinting(SYMLINKS),
        false => finding,
    }
}

/// The next step where the runtime of an unread node is Docker.
const SYMLINKS: &str = "with Docker the files in /var/log/pods are symlinks to its data-root: mount it in Alloy at the same \
    path, /var/lib/docker/containers with alloy.mounts.dockercontainers, another one (`docker info -f \
    '{{.DockerRootDir}}'`) with alloy.mounts.extra and controller.volumes.extra under values.alloy";

/// Lines that Alloy read of a pod: `loki_source_file_read_lines_total`, one series per file (loki.source.file, debug
/// metrics); the file is `/var/log/pods/<namespace>_<pod>_<uid>/<container>/<restarts>.log`.
fn lines_read(metrics: &str, namespace: &str, pod: &str) -> f64 {
    let file = format!("/var/log/pods/{namespace}_{pod}_");
    sum(metrics, "loki_source_file_read_lines_total", &file)
}

/// Sum of a metric's series with this text in their labels.
fn sum(metrics: &str, name: &str, labels: &str) -> f64 {
    let series = metrics.lines().filter(|line| line.starts_with(name) && line.contains(labels));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

pub(super) async fn delivered(context: &StackContext) -> Result<Finding, String> {
    let found = judge_lines(&query_loki(context).await?, context);
    match found {
        Delivery::All => {
            // A second collector's copy may be delivered later.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let again = judge_lines(&query_loki(context).await?, context);
            Ok(again.finding(writers(context).len(), String::new()))
        }
        Delivery::Missing(_) => Ok(found.finding(writers(context).len(), drop_reasons(context).await)),
        other => Ok(other.finding(writers(context).len(), String::new())),
    }
}

/// A line that is not found by its namespace may lack that label.
async fn query_loki(context: &StackContext) -> Result<Logs, String> {
    let (loki, text) = (context.loki(), line(context));
    let found = loki.query(&selector(context), &text).await?;
    if found.lines().len() >= writers(context).len() {
        return Ok(found);
    }
    let unlabelled = loki.query(&format!("{{container=\"{CONTAINER}\"}}"), &text).await?;
    Ok(if unlabelled.lines().len() > found.lines().len() { unlabelled } else { found })
}

/// The streams of the stack's namespace.
fn selector(context: &StackContext) -> String {
    format!("{{namespace=\"{}\"}}", context.namespace())
}

/// Which of the written lines Loki has.
#[derive(Debug, PartialEq, Eq)]
enum Delivery {
    All,
    Missing(Vec<String>),
    Several(Vec<String>),
    Labels(String),
}

impl Delivery {
    fn finding(self, count: usize, drop_reasons: String) -> Finding {
        match self {
            Delivery::All => Finding::pass(format!("{count} of {count}")),
            Delivery::Missing(nodes) => {
                Finding::not_yet(format!("Loki has no line of {}{drop_reasons}", some_of(&nodes)))
            }
            Delivery::Several(nodes) => Finding::fail(format!("more than once: {}", some_of(&nodes))).hinting(
                "two collectors read the same logs: check for a second log agent, and for loki.source blocks with shared targets",
            ),
            Delivery::Labels(wrong) => Finding::fail(wrong)
                .at(Hop::PodsAlloy)
                .hinting("compare discovery.relabel and stage.label_drop of Alloy's configuration with the defaults of tailwatch"),
        }
    }
}

fn judge_lines(found: &Logs, context: &StackContext) -> Delivery {
    judge_streams(&found.lines(), writers(context), context.namespace())
}

fn judge_streams(found: &[&Labels], writers: &[Writer], namespace: &str) -> Delivery {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for labels in found {
        *counts.entry(pod_of(labels)).or_default() += 1;
    }
    let of = |matches: fn(usize) -> bool| -> Vec<String> {
        let count = |writer: &&Writer| matches(counts.get(writer.pod.as_str()).copied().unwrap_or_default());
        writers.iter().filter(count).map(|writer| format!("node {}", writer.node)).collect()
    };
    // A line without the pod's name counts as delivered.
    if found.len() < writers.len() {
        return Delivery::Missing(of(|count| count == 0));
    }
    for labels in found {
        let pod = pod_of(labels);
        let Some(writer) = writers.iter().find(|writer| writer.pod == pod) else {
            return Delivery::Labels("a line has no label pod".into());
        };
        let expected = [("namespace", namespace), ("node", writer.node.as_str()), ("container", CONTAINER)];
        let wrong = expected.iter().find(|(label, value)| labels.get(*label).is_none_or(|found| found != value));
        if let Some((label, value)) = wrong {
            let is = labels.get(*label).map_or_else(|| "missing".to_owned(), |found| format!("`{found}`"));
            return Delivery::Labels(format!("label {label} of pod {pod} is {is}, not `{value}`"));
        }
    }
    let several = of(|count| count > 1);
    if several.is_empty() { Delivery::All } else { Delivery::Several(several) }
}

fn pod_of(labels: &Labels) -> &str {
    labels.get("pod").map(String::as_str).unwrap_or_default()
}

/// Why Loki lacks lines that Alloy read, from Alloy's counters.
async fn drop_reasons(context: &StackContext) -> String {
    let mut detail = String::new();
    let pods = context.alloy_pods();
    for writer in writers(context) {
        let alloy = context.cluster.pod_on(&writer.node, (context.namespace(), &pods)).await;
        let Ok(Some(alloy)) = alloy else { continue };
        let Ok(metrics) = context.alloy().metrics(&alloy).await else { continue };
        detail = drop_reason(&metrics).map(|reason| format!("; {reason}")).unwrap_or_default();
        if !detail.is_empty() {
            break;
        }
    }
    detail
}

/// Counters of loki.write and loki.process (Alloy's reference of both components).
fn drop_reason(metrics: &str) -> Option<String> {
    let rows = [
        ("loki_write_dropped_entries_total", "since its start, Alloy dropped {} lines that Loki did not accept"),
        ("loki_write_batch_retries_total", "since its start, Alloy has retried {} pushes"),
        ("loki_process_dropped_lines_total", "since its start, Alloy's processing stages dropped {} lines"),
    ];
    rows.iter().find_map(|(name, text)| {
        let count = sum(metrics, name, "");
        (count > 0.0).then(|| text.replace("{}", &format!("{count:.0}")))
    })
}

pub(super) async fn shown(context: &StackContext) -> Result<Finding, String> {
    let found = context.grafana().lines_in_loki(&selector(context), &line(context)).await;
    found.map(|found| {
        let expected = writers(context).len();
        if found >= expected {
            Finding::pass(format!("{found} of {expected}, through the data source"))
        } else {
            Finding::not_yet(format!("it shows {found} of {expected}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(node: &str, pod: &str) -> Writer {
        Writer { node: node.into(), pod: pod.into() }
    }

    #[test]
    fn nodes_are_spread() {
        let nodes: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        assert_eq!(spread(nodes.clone(), 3), ["0", "3", "6"]);
        assert_eq!(spread(nodes.clone(), 20), nodes);
        assert!(spread(Vec::new(), 3).is_empty());
    }

    #[test]
    fn each_line_counts_once_with_its_labels() {
        let writers = [writer("node-0", "probe-a"), writer("node-1", "probe-b")];
        let labels = |pod: &str, node: &str| -> Labels {
            let labels = [("namespace", "m"), ("pod", pod), ("node", node), ("container", "probe")];
            labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let (a, b) = (labels("probe-a", "node-0"), labels("probe-b", "node-1"));
        let judged = |found: &[&Labels]| judge_streams(found, &writers, "m");
        assert_eq!(judged(&[&a, &b]), Delivery::All);
        assert_eq!(judged(&[&a]), Delivery::Missing(vec!["node node-1".into()]));
        assert_eq!(judged(&[&a, &b, &b]), Delivery::Several(vec!["node node-1".into()]));
        let mut bare = b.clone();
        bare.remove("node");
        let wrong = "label node of pod probe-b is missing, not `node-1`";
        assert_eq!(judged(&[&a, &bare]), Delivery::Labels(wrong.into()));
    }

    #[test]
    fn symlinks_are_named_if_docker_is_the_runtime_of_an_unread_node() {
        let hint = |docker: &[&str]| hint_of_docker(Finding::not_yet(""), &["node node-1".into()], docker).hint;
        assert!(hint(&["node-0", "node-1"]).unwrap().contains("alloy.mounts.dockercontainers"));
        assert_eq!(hint(&["node-0"]), None);
    }

    #[test]
    fn alloy_counts_the_lines_of_a_file() {
        let metrics = "# TYPE loki_source_file_read_lines_total counter\n\
            loki_source_file_read_lines_total{component_id=\"x\",path=\"/var/log/pods/m_probe-a_1-2/probe/0.log\"} 1\n\
            loki_source_file_read_lines_total{component_id=\"x\",path=\"/var/log/pods/m_probe-b_1-2/probe/0.log\"} 0\n\
            loki_write_batch_retries_total{host=\"loki\"} 3\n";
        assert_eq!(lines_read(metrics, "m", "probe-a"), 1.0);
        assert_eq!(lines_read(metrics, "m", "probe-b"), 0.0);
        assert_eq!(drop_reason(metrics).as_deref(), Some("since its start, Alloy has retried 3 pushes"));
        assert_eq!(drop_reason("loki_write_dropped_entries_total 0\n"), None);
    }
}
