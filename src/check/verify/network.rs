//! The network before and behind oauth2-proxy: Grafana's name on the tailnet, its certificate, and the NetworkPolicy of
//! Grafana.

use serde_json::Value;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::check::api::grafana::SERVICE as GRAFANA;
use crate::check::https_client;
use crate::check::name_of;
use crate::check::row::{Finding, Row};
use crate::check::runner::Subject as _;
use crate::check::verify::context::StackContext;
use crate::check::verify::oauth2_proxy::GROUP;
use crate::check::verify::parts::GRAFANA as GRAFANA_PART;
use crate::check::verify::probe_jobs::{ProbeJob, ended, reason};
use crate::cluster::{ClusterError, PreviousOwner, surplus};
use crate::event::Hop;
use crate::plan::{MissingField, drift};

/// Days left below which a renewal has failed: certificates of the tailnet are valid for 90 days and are renewed with
/// 30 left (tailscale, ipn/ipnlocal/cert.go).
const RENEWAL_OVERDUE: i64 = 14;
/// Last part of the name of the probe job that requests Grafana.
const UNAUTHORIZED_CLIENT: &str = "unauthorized-client";

pub(super) const ROWS: &[Row<StackContext>] = &[
    Row::new("grafana-network-policy", GROUP, "a pod that is neither oauth2-proxy nor Prometheus does not reach Grafana", |context| {
        Box::pin(blocked(context))
    })
    .with(&[GRAFANA_PART])
    .needs(&["grafana-healthy"])
    .within(60)
    .at(Hop::Oauth2ProxyGrafana)
    .hint("any pod that reaches Grafana's port has access: use a network plugin that enforces NetworkPolicies (Calico, Cilium, …), and see `kubectl -n NAMESPACE get networkpolicies`"),
    Row::new("ingress-exact", GROUP, "the Ingress of Grafana has one TLS host, leads to oauth2-proxy only, and is not public", |context| {
        Box::pin(exact(context))
    })
    .within(15)
    .at(Hop::BrowserTailnet)
    .hint("`tailwatch plan --diff` shows the change, `tailwatch install` restores the Ingress: a rule bypasses oauth2-proxy, and tailscale.com/funnel opens the address to the internet"),
    Row::new("address-assigned", GROUP, "the Ingress of Grafana has its address on the tailnet", |context| {
        Box::pin(address(context))
    })
    .within(60)
    .at(Hop::BrowserTailnet)
    .hint("see `kubectl -n NAMESPACE describe ingress grafana`: MagicDNS and HTTPS certificates must be on in the tailnet, and no other device may have the name"),
    Row::new("grafana-from-tailnet", GROUP, "Grafana's address answers over the tailnet with a valid certificate", |context| {
        Box::pin(from_tailnet(context))
    })
    .needs(&["address-assigned", "oauth2-proxy-redirect"])
    .within(60)
    .at(Hop::BrowserTailnet)
    .hint("see the log of the Ingress' proxy: `kubectl get pods -A -l tailscale.com/managed=true` shows it"),
];

/// BusyBox' `wget` times out after `-T` seconds; network plugins drop denied packets, some reject them.
async fn blocked(context: &StackContext) -> Result<Finding, String> {
    let message = |error: ClusterError| error.to_string();
    match context.unauthorized_client.get_or_try_init(|| request_from_pod(context)).await {
        Ok(()) => {}
        Err(ClusterError::Forbidden { message }) => return Ok(Finding::forbidden(&message)),
        Err(error) => return Err(error.to_string()),
    }
    let pods = context.probes.pods(&context.cluster, context.namespace()).await.map_err(message)?;
    let of_client = |pod: &&Value| name_of(pod).contains(UNAUTHORIZED_CLIENT);
    let Some(pod) = pods.iter().find(of_client) else { return Err("no pod was created".into()) };
    let Some(code) = ended(pod) else { return Ok(Finding::not_yet(reason(pod))) };
    let log = context.cluster.log_of(context.namespace(), name_of(pod)).await.map_err(message)?;
    Ok(match code {
        _ if log.contains(REACHED) => Finding::fail(
            "a probe pod reached it: the cluster's network plugin does not enforce NetworkPolicies, or another policy allows it",
        ),
        _ if log.contains("bad address") => Finding::skip("the probe pod could not resolve the Service's name"),
        0 if log.contains(BLOCKED) => Finding::pass("the probe pod did not reach it"),
        _ => Finding::fail(format!("the probe pod ended with exit code {code}: {}", log.trim())),
    })
}

const REACHED: &str = "reached";
const BLOCKED: &str = "blocked";

async fn request_from_pod(context: &StackContext) -> Result<(), ClusterError> {
    let deployment = context.live("apps/v1", "Deployment", context.names.object(GRAFANA.0)).await?.unwrap_or_default();
    let spec = &deployment["spec"]["template"]["spec"];
    // The image of Grafana's own container: those of the sidecars have no wget.
    let containers: Vec<Value> = spec["containers"].as_array().cloned().unwrap_or_default();
    let grafana: Vec<Value> = containers.into_iter().filter(|container| container["name"] == "grafana").collect();
    let mut template = spec.clone();
    template["containers"] = grafana.into();
    let url = format!("http://{}/api/health", context.names.address(GRAFANA, context.namespace()));
    let script = format!("wget -q -T 2 -O /dev/null {url} 2>&1 && echo {REACHED} || echo {BLOCKED}");
    let probe_job = ProbeJob {
        name: UNAUTHORIZED_CLIENT.into(),
        node: None,
        command: vec!["sh".into(), "-c".into(), script],
        template: &template,
    };
    context.probes.create(&context.cluster, context.namespace(), &[probe_job]).await
}

/// Compares the live Ingress with the planned one; fields of others that do not change who reaches it are left out.
async fn exact(context: &StackContext) -> Result<Finding, String> {
    let objects = context.installed.releases.iter().flat_map(|release| &release.objects);
    let Some(planned) = objects.map(|own| &own.manifest).find(|object| object["kind"] == "Ingress") else {
        return Ok(Finding::skip("the stack has no Ingress"));
    };
    let live = match context.live("networking.k8s.io/v1", "Ingress", name_of(planned)).await {
        Ok(Some(live)) => live,
        Ok(None) => return Ok(Finding::fail(format!("there is no Ingress {}", name_of(planned)))),
        Err(ClusterError::Forbidden { message }) => return Ok(Finding::forbidden(&message)),
        Err(error) => return Err(error.to_string()),
    };
    let more = surplus(&live, planned, PreviousOwner::Ours);
    Ok(match drift(&live, planned, MissingField::Differs) {
        Some(path) => Finding::fail(format!("it differs at {path}")),
        None if !more.is_empty() => Finding::fail(format!("it has {}", more.join(", "))),
        None => Finding::pass(format!("class {}", planned["spec"]["ingressClassName"].as_str().unwrap_or_default())),
    })
}

/// A stale device of the same name makes it `grafana-1`; the issuer then rejects the callback URL.
async fn address(context: &StackContext) -> Result<Finding, String> {
    let expected = context.settings.grafana_fqdn();
    let ingress =
        context.live("networking.k8s.io/v1", "Ingress", "grafana").await.map_err(|error| error.to_string())?;
    let Some(ingress) = ingress else { return Ok(Finding::fail("there is no Ingress grafana")) };
    Ok(match ingress.pointer("/status/loadBalancer/ingress/0/hostname").and_then(Value::as_str) {
        Some(found) if found == expected => Finding::pass(format!("https://{expected}/")),
        Some(found) => Finding::fail(format!("its address is {found}, expected {expected}")).hinting(
            "another device has the name: remove it in the tailnet's admin console, then delete the Ingress' proxy pod, which registers it again",
        ),
        None => Finding::not_yet("the Tailscale operator has not assigned it"),
    })
}

async fn from_tailnet(context: &StackContext) -> Result<Finding, String> {
    let (client, verifications) = match https_client::recording_client(https_client::TIMEOUT) {
        Ok(both) => both,
        Err(why) => return Ok(Finding::skip(why)),
    };
    let url = format!("https://{}/", context.settings.grafana_fqdn());
    Ok(match client.get(&url).send().await {
        Ok(response) => {
            judge_answer(&response, &context.settings.auth0.issuer.host())?;
            judge_certificate(verifications.accepted().and_then(|der| days_left(&der)))
        }
        Err(error) => match https_client::certificate_error(&error) {
            Some(reason) => Finding::fail(reason),
            None if error.is_timeout() => Finding::not_yet(format!("{url} does not answer")),
            None => Finding::skip(
                "this machine is not on the tailnet, or does not resolve its names; oauth2-proxy was tested through a port-forward",
            ),
        },
    })
}

fn judge_answer(response: &reqwest::Response, issuer: &str) -> Result<(), String> {
    let location = response.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let host = url::Url::parse(location).ok().and_then(|url| url.host_str().map(str::to_owned));
    if response.status() == 302 && host.as_deref() == Some(issuer) {
        return Ok(());
    }
    Err(format!("it answers {}, expected a redirect to {issuer}", response.status().as_u16()))
}

fn judge_certificate(days_left: Option<i64>) -> Finding {
    match days_left {
        Some(days) if days < RENEWAL_OVERDUE => Finding::warn(format!("its certificate expires in {days} days"))
            .hinting("the tailnet's proxy renews it with 30 days left: see its log for the reason that it did not"),
        Some(days) => Finding::pass(format!("through the Ingress; its certificate is valid for {days} days")),
        None => Finding::pass("through the Ingress"),
    }
}

/// Whole days until a certificate (DER) expires.
fn days_left(certificate: &[u8]) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let seconds = certificate.validity().not_after.timestamp() - jiff::Timestamp::now().as_second();
    Some(seconds / (24 * 60 * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::row::State;

    #[test]
    fn days_left_are_whole_days() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["grafana.t.ts.net".into()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2020, 2, 1);
        let certificate = parameters.self_signed(&key).unwrap();
        assert!(days_left(certificate.der()).unwrap() < -365);
        assert_eq!(days_left(b"no certificate"), None);
    }

    #[test]
    fn a_certificate_with_an_overdue_renewal_is_a_warning() {
        assert_eq!(judge_certificate(Some(13)).state, State::Warn);
        assert_eq!(judge_certificate(Some(14)).detail, "through the Ingress; its certificate is valid for 14 days");
        assert_eq!(judge_certificate(None).state, State::Pass);
    }
}
