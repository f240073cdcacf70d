//! The receiver of alerts: whether Alertmanager has loaded it, and whether a test alert arrives at it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::check::api::alertmanager::NewAlert;
use crate::check::row::{Finding, Row};
use crate::check::runner::Subject as _;
use crate::check::verify::alerts::GROUP;
use crate::check::verify::context::StackContext;
use crate::check::verify::parts::ALERTMANAGER;
use crate::stack::{self, TEST_ALERT};

pub(super) const ROWS: &[Row<StackContext>] = &[
    Row::new("alert-receiver", GROUP, "Alertmanager sends alerts to the receiver of the answers", |context| {
        Box::pin(loaded(context))
    })
    .with(&[ALERTMANAGER])
    // The kubelet mounts a changed configuration within two minutes.
    .within(150)
    .hint("see the log of the operator: `kubectl -n NAMESPACE logs deploy/kube-prometheus-stack-operator`, and `tailwatch plan`"),
    Row::new("alert-delivered", GROUP, "a test alert arrives at the receiver of the answers", |context| {
        Box::pin(delivered(context))
    })
    .with(&[ALERTMANAGER])
    .needs(&["alert-receiver"])
    .within(30)
    .on_request()
    .hint("read the receiver's answer with `kubectl -n NAMESPACE logs alertmanager-kube-prometheus-stack-alertmanager-0`; correct the secret of `alerts.secret`, and admit the receiver's address in firewalls"),
];

async fn loaded(context: &StackContext) -> Result<Finding, String> {
    let receiver = context.settings.alerts.receiver;
    if receiver.fields().is_none() {
        return Ok(Finding::pass("the answer alerts.receiver is none"));
    }
    let loaded = context.alertmanager().receiver().await?;
    let expected = stack::receiver_name(receiver);
    if loaded != expected {
        return Err(format!("Alertmanager sends alerts to the receiver {loaded:?}, expected {expected:?}"));
    }
    let name = receiver.as_str();
    Ok(Finding::pass(format!("{name}; `tailwatch verify --check alert-delivered` sends a test alert")))
}

async fn delivered(context: &StackContext) -> Result<Finding, String> {
    let Some(integration) = context.settings.alerts.receiver.integration() else {
        return Ok(Finding::skip("not tested, since the answer alerts.receiver is none"));
    };
    let alertmanager = context.alertmanager();
    let labels = format!(
        "app.kubernetes.io/name=alertmanager,app.kubernetes.io/instance={}",
        context.names.instance(stack::ALERTMANAGER)
    );
    let pods = context.cluster.ready_pods(context.namespace(), &labels).await.map_err(|error| error.to_string())?;
    let sent = || alertmanager.notifications(&pods, integration);
    let before = sent().await?;
    let now = Timestamp::now();
    let run = format!("{:08x}", rand::random::<u32>());
    let alert = NewAlert {
        labels: [
            ("alertname", TEST_ALERT),
            ("severity", "info"),
            ("run", &run),
            ("cluster", context.settings.tailnet.as_str()),
        ]
        .into(),
        annotations: [(
            "summary",
            "A test alert of `tailwatch verify`: alerts arrive here. It resolves by itself within minutes.",
        )]
        .into(),
        starts_at: now,
        ends_at: now + SignedDuration::from_mins(1),
    };
    alertmanager.post(&alert).await?;
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        if sent().await?.requests > before.requests {
            // Alertmanager counts a failure after the request.
            return Ok(if sent().await?.failed > before.failed {
                Finding::fail(format!("{integration} did not accept the alert"))
            } else {
                Finding::pass(format!("{integration} accepted the alert {TEST_ALERT} with the label run={run}"))
            });
        }
    }
    Ok(Finding::fail(format!("Alertmanager has sent no request to {integration} for 10 s")))
}
