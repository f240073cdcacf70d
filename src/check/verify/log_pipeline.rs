//! The way of a line, hop by hop: a pod of ours writes it, Alloy reads it on that node, Loki has it once with its
//! labels, Grafana shows it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::name_of;
use crate::check::row::{Finding, not_yet};
use crate::check::runner::Subject as _;
use crate::check::verify::grafana::GRAFANA;
use crate::check::verify::logs::{ALLOY_PODS, daemon_set, get_alloy, lines, query};
use crate::check::verify::probe_jobs::{CONTAINER, ProbeJob, trouble};
use crate::check::verify::{StackContext, some_of};
use crate::cluster::ClusterError;
use crate::event::Hop;

/// Seconds that a probe stays after it has written: Alloy reads the file of a pod that is there.
const STAYS: u32 = 120;

/// A probe that has written its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Writer {
    node: String,
    pod: String,
}

pub(super) async fn written(context: &StackContext) -> Finding {
    match context.nodes.get_or_try_init(|| send(context)).await {
        Ok(nodes) => not_yet(judge_written(context, nodes).await.map_err(|error| error.to_string())),
        Err(ClusterError::Forbidden { message }) => Finding::skip(format!("not allowed here: {message}")),
        Err(error) => Finding::not_yet(error.to_string()),
    }
}

/// Sends a probe to some nodes, spread over all, and gives their names.
async fn send(context: &StackContext) -> Result<Vec<String>, ClusterError> {
    let (nodes, set) = futures::try_join!(context.cluster.linux_nodes(), daemon_set(context))?;
    let nodes = spread(nodes, context.selection.nodes);
    let like = set.as_ref().map(|set| &set["spec"]["template"]["spec"]).unwrap_or(&Value::Null);
    let probe_jobs: Vec<ProbeJob> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| ProbeJob {
            name: index.to_string(),
            node: Some(node),
            command: vec!["sh".into(), "-c".into(), format!("echo '{}'; sleep {STAYS}", line(context))],
            like,
        })
        .collect();
    context.probes.send(&context.cluster, context.namespace(), &probe_jobs).await?;
    Ok(nodes)
}

/// At most `count` of them, evenly spread.
fn spread(nodes: Vec<String>, count: usize) -> Vec<String> {
    let (all, count) = (nodes.len(), count.min(nodes.len()));
    (0..count).map(|index| nodes[index * all / count].clone()).collect()
}

fn line(context: &StackContext) -> String {
    format!("tailwatch-verify run={}", context.probes.run)
}

async fn judge_written(context: &StackContext, nodes: &[String]) -> Result<Finding, ClusterError> {
    let pods = context.probes.pods(&context.cluster, context.namespace()).await?;
    let mut writers = Vec::new();
    let mut silent = Vec::new();
    for node in nodes {
        let Some(pod) = pods.iter().find(|pod| is_for(pod, node)) else {
            silent.push(format!("node {node}: no pod was made"));
            continue;
        };
        let name = name_of(pod);
        if context.cluster.log_of(context.namespace(), name).await?.contains(&line(context)) {
            writers.push(Writer { node: node.clone(), pod: name.to_owned() });
        } else {
            silent.push(format!("node {node}: {}", trouble(pod)));
        }
    }
    if !silent.is_empty() || writers.is_empty() {
        return Ok(Finding::not_yet(if silent.is_empty() { "there is no node".into() } else { some_of(&silent) }));
    }
    let said = format!("on {} nodes", writers.len());
    let _ = context.writers.set(writers);
    Ok(Finding::pass(said))
}

/// Whether a pod was sent to a node, be it there or not.
fn is_for(pod: &Value, node: &str) -> bool {
    let terms = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0";
    pod.pointer(terms).and_then(|term| term["matchFields"][0]["values"][0].as_str()) == Some(node)
}

fn writers(context: &StackContext) -> &[Writer] {
    context.writers.get().map(Vec::as_slice).unwrap_or_default()
}

pub(super) async fn collected(context: &StackContext) -> Finding {
    not_yet(judge_collected(context).await)
}

async fn judge_collected(context: &StackContext) -> Result<Finding, String> {
    let mut unread = Vec::new();
    for writer in writers(context) {
        let place = (context.namespace(), ALLOY_PODS);
        let alloy = context.cluster.pod_on(&writer.node, place).await.map_err(|error| error.to_string())?;
        let alloy = alloy.ok_or_else(|| format!("no pod of Alloy is on node {}", writer.node))?;
        let metrics = get_alloy(context, &alloy, "/metrics").await?;
        if read_of(&metrics, context.namespace(), &writer.pod) == 0.0 {
            unread.push(format!("node {}", writer.node));
        }
    }
    Ok(if unread.is_empty() {
        Finding::pass(format!("{} of {}", writers(context).len(), writers(context).len()))
    } else {
        Finding::not_yet(format!("Alloy has not read the log of our pod on {}", some_of(&unread)))
    })
}

/// Lines that Alloy read of a pod: `loki_source_file_read_lines_total`, a series a file (loki.source.file, debug
/// metrics); the file is `/var/log/pods/<namespace>_<pod>_<uid>/<container>/<restarts>.log`.
fn read_of(metrics: &str, namespace: &str, pod: &str) -> f64 {
    let file = format!("/var/log/pods/{namespace}_{pod}_");
    sum(metrics, "loki_source_file_read_lines_total", &file)
}

/// Sum of the series of a metric whose labels hold a text.
fn sum(metrics: &str, name: &str, labels: &str) -> f64 {
    let series = metrics.lines().filter(|line| line.starts_with(name) && line.contains(labels));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

pub(super) async fn arrive(context: &StackContext) -> Finding {
    not_yet(judge_arrival(context).await)
}

async fn judge_arrival(context: &StackContext) -> Result<Finding, String> {
    let found = judge_lines(&ask_loki(context).await?, context);
    match found {
        Arrival::All => {
            // A second copy comes a moment later.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let again = judge_lines(&ask_loki(context).await?, context);
            Ok(again.finding(writers(context).len(), String::new()))
        }
        Arrival::Missing(_) => Ok(found.finding(writers(context).len(), complaints(context).await)),
        other => Ok(other.finding(writers(context).len(), String::new())),
    }
}

/// A line that is not found by its namespace may have come without it.
async fn ask_loki(context: &StackContext) -> Result<Value, String> {
    let found: Value = context.json("loki", 3100, &search(context)).await?;
    if lines(&found).len() >= writers(context).len() {
        return Ok(found);
    }
    let by_container = query(&format!("{{container=\"{CONTAINER}\"}}"), &line(context));
    let stray: Value = context.json("loki", 3100, &by_container).await?;
    Ok(if lines(&stray).len() > lines(&found).len() { stray } else { found })
}

fn search(context: &StackContext) -> String {
    query(&format!("{{namespace=\"{}\"}}", context.namespace()), &line(context))
}

/// What is in Loki of what was written.
#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    All,
    Missing(Vec<String>),
    Several(Vec<String>),
    Labels(String),
}

impl Arrival {
    fn finding(self, count: usize, complaints: String) -> Finding {
        match self {
            Arrival::All => Finding::pass(format!("{count} of {count}")),
            Arrival::Missing(nodes) => {
                Finding::not_yet(format!("Loki has no line of {}{complaints}", some_of(&nodes)))
            }
            Arrival::Several(nodes) => Finding::fail(format!("more than once: {}", some_of(&nodes))).hinting(
                "two collectors read the same logs: look for a second log agent, and for loki.source blocks that share targets",
            ),
            Arrival::Labels(what) => Finding::fail(what)
                .at(Hop::PodsAlloy)
                .hinting("compare discovery.relabel and stage.label_drop of Alloy's configuration with the defaults of tailwatch"),
        }
    }
}

fn judge_lines(answer: &Value, context: &StackContext) -> Arrival {
    judge_streams(&lines(answer), writers(context), context.namespace())
}

fn judge_streams(found: &[(&Value, &str)], writers: &[Writer], namespace: &str) -> Arrival {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (labels, _) in found {
        *counts.entry(labels["pod"].as_str().unwrap_or_default()).or_default() += 1;
    }
    let of = |wanted: fn(usize) -> bool| -> Vec<String> {
        let count = |writer: &&Writer| wanted(counts.get(writer.pod.as_str()).copied().unwrap_or_default());
        writers.iter().filter(count).map(|writer| format!("node {}", writer.node)).collect()
    };
    // A line without the pod's name is still a line that came.
    if found.len() < writers.len() {
        return Arrival::Missing(of(|count| count == 0));
    }
    for (labels, _) in found {
        let pod = labels["pod"].as_str().unwrap_or_default();
        let Some(writer) = writers.iter().find(|writer| writer.pod == pod) else {
            return Arrival::Labels("a line has no label pod".into());
        };
        let wanted = [("namespace", namespace), ("node", writer.node.as_str()), ("container", CONTAINER)];
        let wrong = wanted.iter().find(|(label, value)| labels[*label] != *value);
        if let Some((label, value)) = wrong {
            let is = labels[*label].as_str().map_or_else(|| "missing".to_owned(), |found| format!("`{found}`"));
            return Arrival::Labels(format!("label {label} of pod {pod} is {is}, not `{value}`"));
        }
    }
    let several = of(|count| count > 1);
    if several.is_empty() { Arrival::All } else { Arrival::Several(several) }
}

/// What Alloy's own counters say of lines that it read and Loki lacks.
async fn complaints(context: &StackContext) -> String {
    let mut said = String::new();
    for writer in writers(context) {
        let alloy = context.cluster.pod_on(&writer.node, (context.namespace(), ALLOY_PODS)).await;
        let Ok(Some(alloy)) = alloy else { continue };
        let Ok(metrics) = get_alloy(context, &alloy, "/metrics").await else { continue };
        said = complaint(&metrics).map(|words| format!("; {words}")).unwrap_or_default();
        if !said.is_empty() {
            break;
        }
    }
    said
}

/// Counters of loki.write and loki.process (Alloy's reference of both components).
fn complaint(metrics: &str) -> Option<String> {
    let rows = [
        ("loki_write_dropped_entries_total", "since it started, Alloy gave up {} lines that Loki did not take"),
        ("loki_write_batch_retries_total", "since it started, Alloy has tried a push again {} times"),
        ("loki_process_dropped_lines_total", "since it started, Alloy's own processing dropped {} lines"),
    ];
    rows.iter().find_map(|(name, words)| {
        let count = sum(metrics, name, "");
        (count > 0.0).then(|| words.replace("{}", &format!("{count:.0}")))
    })
}

pub(super) async fn shown(context: &StackContext) -> Finding {
    let path = format!("/api/datasources/proxy/uid/loki{}", search(context));
    let answer: Result<Value, String> = context.json(GRAFANA, 80, &path).await;
    not_yet(answer.map(|answer| {
        let (found, wanted) = (lines(&answer).len(), writers(context).len());
        if found >= wanted {
            Finding::pass(format!("{found} of {wanted}, through its data source"))
        } else {
            Finding::not_yet(format!("it shows {found} of {wanted}"))
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        let labels = |pod: &str, node: &str| json!({"namespace": "m", "pod": pod, "node": node, "container": "probe"});
        let (a, b) = (labels("probe-a", "node-0"), labels("probe-b", "node-1"));
        let judged = |found: &[&Value]| {
            let found: Vec<(&Value, &str)> = found.iter().map(|labels| (*labels, "line")).collect();
            judge_streams(&found, &writers, "m")
        };
        assert_eq!(judged(&[&a, &b]), Arrival::All);
        assert_eq!(judged(&[&a]), Arrival::Missing(vec!["node node-1".into()]));
        assert_eq!(judged(&[&a, &b, &b]), Arrival::Several(vec!["node node-1".into()]));
        let bare = json!({"namespace": "m", "pod": "probe-b", "container": "probe"});
        let wrong = "label node of pod probe-b is missing, not `node-1`";
        assert_eq!(judged(&[&a, &bare]), Arrival::Labels(wrong.into()));
    }

    #[test]
    fn alloy_counts_the_lines_of_a_file() {
        let metrics = "# TYPE loki_source_file_read_lines_total counter\n\
            loki_source_file_read_lines_total{component_id=\"x\",path=\"/var/log/pods/m_probe-a_1-2/probe/0.log\"} 1\n\
            loki_source_file_read_lines_total{component_id=\"x\",path=\"/var/log/pods/m_probe-b_1-2/probe/0.log\"} 0\n\
            loki_write_batch_retries_total{host=\"loki\"} 3\n";
        assert_eq!(read_of(metrics, "m", "probe-a"), 1.0);
        assert_eq!(read_of(metrics, "m", "probe-b"), 0.0);
        assert_eq!(complaint(metrics).as_deref(), Some("since it started, Alloy has tried a push again 3 times"));
        assert_eq!(complaint("loki_write_dropped_entries_total 0\n"), None);
    }
}
