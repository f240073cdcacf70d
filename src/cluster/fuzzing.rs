//! The parsers of this module for fuzzing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::Value;

use crate::cluster::snapshot::Snapshot;
use crate::cluster::views::{Object, by_kind};
use crate::cluster::watch::release::TrackedRelease;
use crate::cluster::{
    ManagedObject, ManifestObjects, PartialObject, PodsByNode, Quantity, client, deletion_reason, discovery,
    lacks_room, lease, readiness, release_records, requests_of, webhooks,
};

type Parse = fn(&[u8]);

/// Name and parser of each input.
pub(crate) const PARSERS: &[(&str, Parse)] = &[
    ("objects", objects),
    ("quantity", |bytes| drop(Quantity::parse(&String::from_utf8_lossy(bytes)).map(|found| found.to_string()))),
    ("release-record", |bytes| drop(release_records::decode(bytes, ManifestObjects::All))),
    ("release-record-contents", |bytes| {
        drop(release_records::decode(STANDARD.encode(bytes).as_bytes(), ManifestObjects::WithReadiness))
    }),
    ("lease", |bytes| drop(serde_json::from_slice::<Lease>(bytes).map(|live| lease::holding(&live)))),
    ("kubeconfig", client::fuzzing::kubeconfig),
    ("exec-credential", client::fuzzing::exec_credential),
];

/// A list of objects as the API server answers it: all that readiness, diagnosis, deletion and preflight read of it.
fn objects(bytes: &[u8]) {
    let Ok(Value::Array(objects)) = serde_json::from_slice::<Value>(bytes) else { return };
    let release = TrackedRelease::new("loki", "m", &objects);
    let mut snapshot = Snapshot::default();
    let mut pods = PodsByNode::default();
    for object in &objects {
        if let Some(view) = view(object) {
            snapshot.cache.insert(view);
        }
        if let Ok(pod) = serde_json::from_value(object.clone()) {
            pods.add(pod);
        }
        drop((ManagedObject::of(object).owner(), requests_of(&object["spec"]), lacks_room(object)));
        drop((webhooks::required_webhooks(object), discovery::served_kinds(object)));
    }
    let partial: Vec<PartialObject> = objects.iter().map(PartialObject::of).collect();
    drop(deletion_reason(&partial));
    let now = jiff::Timestamp::UNIX_EPOCH;
    drop((snapshot.readiness(&release, now), readiness::progress::progress(&snapshot.cache, &release)));
    drop(snapshot.diagnoses(&[release], now));
}

fn view(object: &Value) -> Option<Object> {
    let kind = object["kind"].as_str()?;
    by_kind!(kind, V => serde_json::from_value::<V>(object.clone()).ok().map(Object::from))
}
