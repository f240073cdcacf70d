//! The sandbox itself: side by side, with faults that are real, and gone with whoever made it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Sandbox, eventually, matching};

use crate::TAILWATCH;

#[test]
fn a_sandbox_ends_with_the_process_that_owns_it() {
    let mut owner = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    let sandbox = Sandbox::up(TAILWATCH, &["--owner-pid", &owner.id().to_string(), "--nodes", "1"]);
    let folder = std::path::PathBuf::from(sandbox.variable("TAILWATCH_SANDBOX_DIR"));
    let daemon = std::fs::read_to_string(sandbox.file("pid")).unwrap().trim().to_owned();
    let children = || matching(&folder.display().to_string());
    assert!(children().len() >= 6, "{:?}", children());
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("the daemon ends", || !Path::new("/proc").join(&daemon).exists() || !folder.exists());
    eventually("its children end", || children().is_empty());
    eventually("its folder goes", || !folder.exists());
    // There is nothing to shut down any more.
    std::mem::forget(sandbox);
}

#[test]
fn two_sandboxes_share_nothing() {
    let (one, other) = (Sandbox::up(TAILWATCH, &["--nodes", "1"]), Sandbox::up(TAILWATCH, &["--nodes", "2"]));
    assert_ne!(one.name(), other.name());
    one.kubectl(&["create", "namespace", "only-here"]);
    assert!(!other.kubectl(&["get", "namespaces", "-o", "name"]).contains("only-here"));
    assert_eq!(one.kubectl(&["get", "nodes", "-o", "name"]).lines().count(), 1);
    assert_eq!(other.kubectl(&["get", "nodes", "-o", "name"]).lines().count(), 2);
}

/// The pods of a Deployment show each fault, and recover without it.
#[test]
fn each_fault_is_seen_in_the_api_and_ends() {
    let sandbox = Sandbox::up(TAILWATCH, &[]);
    sandbox.kubectl(&["create", "namespace", "monitoring"]);
    let pods = |path: &str| {
        sandbox.kubectl(&["-n", "monitoring", "get", "pods", "-o", &format!("jsonpath={{.items[*]{path}}}")])
    };
    let rows = [
        ("image-pull", ".status.containerStatuses[*].state.waiting.reason", "ImagePullBackOff"),
        ("crash-loop", ".status.containerStatuses[*].state.waiting.reason", "CrashLoopBackOff"),
        ("never-ready", ".status.containerStatuses[*].ready", "false"),
        ("unschedulable", ".status.conditions[*].reason", "Unschedulable"),
    ];
    for (kind, path, shown) in rows {
        sandbox.fault(kind, "on");
        sandbox.kubectl(&["-n", "monitoring", "create", "deployment", "web", "--image=web:1"]);
        eventually(kind, || pods(path).contains(shown));
        sandbox.fault(kind, "off");
        eventually(kind, || {
            sandbox.kubectl(&[
                "-n",
                "monitoring",
                "get",
                "deployment",
                "web",
                "-o",
                "jsonpath={.status.availableReplicas}",
            ]) == "1"
        });
        sandbox.kubectl(&["-n", "monitoring", "delete", "deployment", "web"]);
        eventually("the pods go", || pods(".metadata.name").is_empty());
    }
    sandbox.fault("quota", "on");
    eventually("quota", || {
        sandbox.kubectl(&["-n", "monitoring", "get", "resourcequota", "-o", "name"]).contains("sandbox-fault")
    });
    sandbox.fault("quota", "off");
    eventually("no quota", || sandbox.kubectl(&["-n", "monitoring", "get", "resourcequota", "-o", "name"]).is_empty());
}

const CRASHES: &str = r#"
- name: runs
  containers: { web: { ready: false } }
  log: |
    start {{ .restarts }}
    fatal: no configuration
- after: 200ms
  containers: { web: { terminated: { reason: OOMKilled, exitCode: 137 } } }
- after: 100ms
  containers: { web: { waiting: { reason: CrashLoopBackOff } } }
  event: { type: Warning, reason: BackOff, message: "Back-off restarting failed container {{ .container }}" }
- after: 500ms
  unless: { restarts: 2 }
  containers: { web: { ready: false } }
  next: runs
"#;

/// What a course tells is in the status, in the events and in the logs; without it the pod is a healthy one.
#[test]
fn a_pod_goes_through_the_course_of_a_fault() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let course = sandbox.file("course.yaml").display().to_string();
    std::fs::write(&course, CRASHES).unwrap();
    sandbox.fault(&format!("pods=web-@{course}"), "on");
    sandbox.kubectl(&["create", "deployment", "web", "--image=web:1"]);
    sandbox.kubectl(&["create", "deployment", "other", "--image=web:1"]);
    let status = |path: &str| {
        let pods = sandbox.get(&["pods", "-l", "app=web"]);
        pods.pointer(&format!("/items/0/status/containerStatuses/0/{path}")).cloned().unwrap_or_default()
    };
    eventually("the last back-off", || {
        status("restartCount") == 2 && status("state/waiting/reason") == "CrashLoopBackOff"
    });
    assert_eq!(status("lastState/terminated/reason"), "OOMKilled");
    eventually("the event of each of them", || {
        let events = sandbox.get(&["events", "--field-selector", "reason=BackOff"]);
        let event = &events["items"][0];
        event["count"] == 3
            && event["source"]["component"] == "kubelet"
            && event["involvedObject"]["fieldPath"] == "spec.containers{web}"
            && event["message"] == "Back-off restarting failed container web"
    });
    let logs = |more: &[&str]| sandbox.kubectl(&[&["logs", "deployment/web"], more].concat());
    assert_eq!(logs(&[]), "start 2\nfatal: no configuration\n");
    assert_eq!(logs(&["--previous", "--tail=1"]), "fatal: no configuration\n");
    sandbox.kubectl(&["wait", "--for=condition=Available", "deployment/other", "--timeout=30s"]);
    assert_eq!(sandbox.kubectl(&["logs", "deployment/other"]), "");
    sandbox.fault("pods", "off");
    sandbox.kubectl(&["wait", "--for=condition=Available", "deployment/web", "--timeout=30s"]);
    assert_eq!(status("restartCount"), 3);
}

#[test]
fn nodes_volumes_and_the_tailnet_fail_as_they_are_reported() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "2"]);
    let taints = || sandbox.kubectl(&["get", "node", "node-1", "-o", "jsonpath={.spec.taints[*].effect}"]);
    let events = |reason: &str| {
        let wanted = format!("jsonpath={{.items[?(@.reason=='{reason}')].message}}");
        sandbox.kubectl(&["get", "events", "-o", &wanted])
    };
    sandbox.fault("node-not-ready=node-1", "on");
    eventually("the taints", || taints().contains("NoExecute"));
    sandbox.fault("node-not-ready", "off");
    eventually("no taints", || taints().is_empty());

    sandbox.fault("provisioning-failed", "on");
    sandbox.fault("tailscale=https-disabled", "on");
    let objects = sandbox.file("objects.yaml").display().to_string();
    std::fs::write(&objects, CLAIM_AND_INGRESS).unwrap();
    sandbox.kubectl(&["apply", "-f", &objects]);
    eventually("the provisioner's event", || {
        events("ProvisioningFailed").contains("failed to provision volume with StorageClass \"standard\": rpc error:")
    });
    eventually("the tailnet's event", || events("HTTPSNotEnabled").contains("HTTPS is not enabled on the tailnet"));
    let hostname = || {
        let path = "jsonpath={.status.loadBalancer.ingress[0].hostname}";
        sandbox.kubectl(&["get", "ingress", "web", "-o", path])
    };
    assert_eq!(hostname(), "");
    sandbox.fault("tailscale=host-in-use", "on");
    eventually("the second address", || hostname() == "web-1.tail1a2b.ts.net");
    sandbox.fault("tailscale", "off");
    eventually("the address", || hostname() == "web.tail1a2b.ts.net");
    sandbox.fault("provisioning-failed", "off");
    sandbox.kubectl(&["wait", "--for=condition=Ready", "pod/web", "--timeout=30s"]);
}

const CLAIM_AND_INGRESS: &str = r#"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: web }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
---
apiVersion: v1
kind: Pod
metadata: { name: web }
spec:
  containers: [{ name: web, image: "web:1" }]
  volumes: [{ name: data, persistentVolumeClaim: { claimName: web } }]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web }
spec:
  ingressClassName: tailscale
  tls: [{ hosts: [web] }]
  defaultBackend: { service: { name: web, port: { number: 80 } } }
"#;

#[test]
fn everything_works_again_after_an_outage() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    for (kind, deployment) in [("api-down", "first"), ("controllers-down", "second")] {
        sandbox.fault(kind, "on");
        std::thread::sleep(Duration::from_secs(2));
        sandbox.fault(kind, "off");
        sandbox.kubectl(&["create", "deployment", deployment, "--image=web:1"]);
        let wanted = format!("deployment/{deployment}");
        sandbox.kubectl(&["wait", "--for=condition=Available", &wanted, "--timeout=30s"]);
    }
}

/// Exit codes of curl: the server's certificate is not trusted, and the proxy does not lead there.
const NOT_TRUSTED: i32 = 60;
const LEADS_NOWHERE: i32 = 56;

#[test]
fn a_machine_outside_reaches_the_issuer_and_the_tailnet_and_nothing_else() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let objects = sandbox.file("objects.yaml").display().to_string();
    std::fs::write(&objects, CLAIM_AND_INGRESS).unwrap();
    sandbox.kubectl(&["apply", "-f", &objects]);
    let asked = |url: &str| {
        let mut curl = sandbox.command(Path::new("curl"));
        curl.args(["--silent", "--max-time", "10", "--output", "/dev/null", "--write-out", "%{http_code}", url]);
        let output = curl.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (issuer, web) = ("https://acme.eu.auth0.com/.well-known/openid-configuration", "https://web.tail1a2b.ts.net/");
    // The Ingress has no ready backend, but its name and certificate exist.
    eventually("the tailnet", || asked(web) == (0, "502".into()));
    for (fault, url, code) in [
        ("issuer=certificate-untrusted", issuer, NOT_TRUSTED),
        ("issuer=certificate-expired", issuer, NOT_TRUSTED),
        ("issuer=unreachable", issuer, LEADS_NOWHERE),
        ("tailscale=certificate-untrusted", web, NOT_TRUSTED),
        ("tailscale=certificate-expired", web, NOT_TRUSTED),
        ("tailscale=not-joined", web, LEADS_NOWHERE),
    ] {
        assert_eq!(asked(url).0, 0, "before {fault}");
        sandbox.fault(fault, "on");
        assert_eq!(asked(url).0, code, "{fault}");
        sandbox.fault(fault.split('=').next().unwrap(), "off");
    }
    for elsewhere in
        ["https://10.0.0.1/", "https://other.tail1a2b.ts.net/", "https://auth0.com/", "https://example.com/"]
    {
        assert_eq!(asked(elsewhere).0, LEADS_NOWHERE, "{elsewhere}");
    }
}
