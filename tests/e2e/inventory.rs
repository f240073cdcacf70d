//! The comparison of inventories, which other tests rely on.

use serde_json::{Value, json};
use support::Inventory;

fn normalised(object: Value) -> Vec<String> {
    Inventory::from_objects(&[object]).normalised()
}

#[test]
fn random_names_and_addresses_are_left_out_and_the_specification_is_kept() {
    let pod = |name: &str, uid: &str| {
        json!({"kind": "Pod", "metadata": {"name": name, "generateName": "web-5c9-", "uid": uid,
            "labels": {"pod-template-hash": "5c9", "app": "web"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5c9", "uid": uid}]}, "spec": {"nodeName": name}})
    };
    assert_eq!(normalised(pod("web-5c9-a", "1")), normalised(pod("web-5c9-b", "2")));
    let service = |port: u16, address: &str| json!({"kind": "Service", "metadata": {"name": "web"}, "spec": {"clusterIP": address, "ports": [{"port": port}]}});
    assert_eq!(normalised(service(80, "10.0.0.1")), normalised(service(80, "10.0.0.2")));
    assert_ne!(normalised(service(80, "10.0.0.1")), normalised(service(81, "10.0.0.1")));
    let config = |uid: &str| json!({"kind": "ConfigMap", "metadata": {"name": "rules"}, "data": {"file": format!("a-{uid}.yaml")}});
    let uids = ["113a5d8c-bf75-4ce4-9a63-ce78c42acce1", "9d1f0c7e-0000-4ce4-9a63-ce78c42acce2"];
    assert_eq!(normalised(config(uids[0])), normalised(config(uids[1])));
}
