//! The state that readiness and diagnosis are judged from: objects, logs of containers that failed, taints of the
//! nodes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use crate::cluster::ObjectRef;
use crate::cluster::views::{
    Deployment, Event, Metadata, Object, OperatorResource, PersistentVolumeClaim, Pod, StatefulSet, Stored,
};

/// (kind, namespace, name); cluster-scoped objects have the namespace "".
pub(in crate::cluster) type Key = (String, String, String);

/// State of the nodes, read when readiness or a rule needs it.
#[derive(Clone, Debug, Default)]
pub(in crate::cluster) struct Nodes {
    /// How many nodes there are.
    pub(in crate::cluster) total: usize,
    /// Taint key -> how many nodes have it.
    pub(in crate::cluster) taints: BTreeMap<String, usize>,
    /// Node -> why it does not run pods at the moment, as a sentence.
    pub(in crate::cluster) problems: BTreeMap<String, String>,
}

/// Objects by kind, namespace and name, and what was read besides.
#[derive(Debug, Default)]
pub(in crate::cluster) struct ObjectCache {
    objects: BTreeMap<Key, Object>,
    /// Keys of the events about an object, by its key.
    events: HashMap<Key, BTreeSet<Key>>,
    /// Last lines of a container's log, by namespace, pod and container.
    pub(in crate::cluster) logs: HashMap<Key, Vec<String>>,
    /// `None` until they are read.
    pub(in crate::cluster) nodes: Option<Nodes>,
}

/// The key of an object of this kind.
pub(in crate::cluster) fn key(kind: &str, metadata: &Metadata) -> Key {
    (kind.to_owned(), metadata.namespace.clone(), metadata.name.clone())
}

/// The object of an event, which is in the namespace of the event.
fn about(event: &Event) -> Key {
    let involved = &event.involved_object;
    (involved.kind.clone(), event.metadata.namespace.clone(), involved.name.clone())
}

impl ObjectCache {
    pub(in crate::cluster) fn insert(&mut self, object: Object) {
        let key = key(object.kind(), object.metadata());
        if let Object::Event(event) = &object {
            // It may have been about another object.
            self.remove(&key);
            self.events.entry(about(event)).or_default().insert(key.clone());
        }
        self.objects.insert(key, object);
    }

    /// Drops an object.
    pub(in crate::cluster) fn remove(&mut self, key: &Key) {
        let Some(Object::Event(event)) = self.objects.remove(key) else { return };
        if let Entry::Occupied(mut events) = self.events.entry(about(&event)) {
            events.get_mut().remove(key);
            if events.get().is_empty() {
                events.remove();
            }
        }
    }

    /// Drops the objects of a kind and namespace that have none of the names.
    pub(in crate::cluster) fn keep(&mut self, kind: &str, namespace: &str, names: &BTreeSet<String>) {
        let of_kind = self.in_namespace(kind, namespace).map(|(key, _)| key);
        let dropped: Vec<Key> = of_kind.filter(|(.., name)| !names.contains(name)).cloned().collect();
        dropped.iter().for_each(|key| self.remove(key));
    }

    /// How many objects there are.
    pub(in crate::cluster) fn len(&self) -> usize {
        self.objects.len()
    }

    /// The object of a key.
    pub(in crate::cluster) fn by_key(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key)
    }

    /// One object of any kind.
    pub(in crate::cluster) fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object> {
        self.by_key(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    /// The object of a reference.
    pub(in crate::cluster) fn find(&self, reference: &ObjectRef) -> Option<&Object> {
        self.object(&reference.kind, reference.namespace.as_deref().unwrap_or_default(), &reference.name)
    }

    /// One object.
    pub(in crate::cluster) fn get<V: Stored>(&self, namespace: &str, name: &str) -> Option<&V> {
        self.object(V::KIND, namespace, name).and_then(V::of)
    }

    /// Objects of a kind in a namespace, by name.
    pub(in crate::cluster) fn all<V: Stored>(&self, namespace: &str) -> impl Iterator<Item = &V> {
        self.in_namespace(V::KIND, namespace).filter_map(|(_, object)| V::of(object))
    }

    /// Objects of a kind in all namespaces.
    pub(in crate::cluster) fn everywhere<V: Stored>(&self) -> impl Iterator<Item = &V> {
        self.from(V::KIND, "").take_while(|((kind, _, _), _)| kind == V::KIND).filter_map(|(_, object)| V::of(object))
    }

    /// Objects of a kind in a namespace, in the order of their keys.
    fn in_namespace(&self, kind: &str, namespace: &str) -> impl Iterator<Item = (&Key, &Object)> {
        self.from(kind, namespace).take_while(move |((found, place, _), _)| found == kind && place == namespace)
    }

    /// Objects in the order of their keys, from the first of a kind and namespace.
    fn from(&self, kind: &str, namespace: &str) -> impl Iterator<Item = (&Key, &Object)> {
        let first = (kind.to_owned(), namespace.to_owned(), String::new());
        self.objects.range((Bound::Included(first), Bound::Unbounded))
    }

    /// Names of the pods of a namespace that have a Warning event.
    pub(in crate::cluster) fn warned_pods(&self, namespace: &str) -> BTreeSet<&str> {
        let involved = self.all::<Event>(namespace).map(|event| &event.involved_object);
        involved.filter(|involved| involved.kind == "Pod").map(|involved| involved.name.as_str()).collect()
    }

    /// Warning events about an object, the newest first. A StatefulSet's pod has the name of the pod before it, so the
    /// uid decides.
    pub(in crate::cluster) fn events(&self, kind: &str, object: &Metadata) -> Vec<&Event> {
        let is_about = |event: &&Event| {
            let uid = &event.involved_object.uid;
            uid.is_empty() || object.uid.is_empty() || *uid == object.uid
        };
        let keys = self.events.get(&key(kind, object)).into_iter().flatten();
        let events = keys.filter_map(|key| Event::of(self.by_key(key)?));
        let mut events: Vec<&Event> = events.filter(is_about).collect();
        events.sort_by_key(|event| std::cmp::Reverse((event.last_seen(), event.metadata.version())));
        events
    }

    /// Pods of a workload.
    pub(in crate::cluster) fn pods(&self, workload: &Object) -> impl Iterator<Item = &Pod> {
        let metadata = workload.metadata();
        let is_deployment = workload.kind() == Deployment::KIND;
        self.all(&metadata.namespace).filter(move |pod: &&Pod| {
            if is_deployment {
                pod.workload() == Some((Deployment::KIND, &metadata.name))
            } else {
                pod.metadata.is_owned_by(&metadata.uid)
            }
        })
    }

    /// Why the node of a pod does not run pods at the moment, if that was read and the pod is not ready.
    pub(in crate::cluster) fn problem_of_node(&self, pod: &Pod) -> Option<&str> {
        let is_running = pod.is_ready() && pod.metadata.deletion_timestamp.is_none();
        let problem = self.nodes.as_ref()?.problems.get(&pod.spec.node_name)?;
        (!is_running).then_some(problem.as_str())
    }

    /// Claims that a pod mounts, as far as they exist.
    pub(in crate::cluster) fn claims_of(&self, pod: &Pod) -> impl Iterator<Item = &Object> {
        pod.claims().filter_map(|name| self.object(PersistentVolumeClaim::KIND, &pod.metadata.namespace, name))
    }

    /// StatefulSets that an operator created for its resource.
    pub(in crate::cluster) fn stateful_sets_of(&self, resource: &OperatorResource) -> impl Iterator<Item = &Object> {
        let Metadata { uid, namespace, .. } = &resource.metadata;
        self.in_namespace(StatefulSet::KIND, namespace)
            .map(|(_, object)| object)
            .filter(move |set| set.metadata().is_owned_by(uid))
    }

    /// Last lines of a container's log; empty if none were read.
    pub(in crate::cluster) fn log(&self, pod: &Pod, container: &str) -> &[String] {
        let key = (pod.metadata.namespace.clone(), pod.metadata.name.clone(), container.to_owned());
        self.logs.get(&key).map(Vec::as_slice).unwrap_or_default()
    }
}

#[cfg(test)]
impl ObjectCache {
    pub(in crate::cluster) fn insert_json(&mut self, json: serde_json::Value) {
        self.insert(Object::from_json(json));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_events_of_an_object_follow_what_is_inserted_and_dropped() {
        let event = |name: &str, pod: &str| {
            json!({"kind": "Event", "metadata": {"name": name, "namespace": "m"},
                "involvedObject": {"kind": "Pod", "name": pod, "namespace": "m"}, "lastTimestamp": "2026-01-01T00:00:00Z"})
        };
        let names = |cache: &ObjectCache, pod: &str| -> Vec<String> {
            let pod = Metadata { name: pod.into(), namespace: "m".into(), ..Metadata::default() };
            cache.events("Pod", &pod).into_iter().map(|event| event.metadata.name.clone()).collect()
        };
        let mut cache = ObjectCache::default();
        [("e1", "a"), ("e2", "a"), ("e3", "b")].into_iter().for_each(|(name, pod)| cache.insert_json(event(name, pod)));
        assert_eq!((names(&cache, "a"), names(&cache, "b")), (vec!["e1".into(), "e2".into()], vec!["e3".into()]));
        cache.insert_json(event("e1", "b"));
        assert_eq!((names(&cache, "a"), names(&cache, "b")), (vec!["e2".into()], vec!["e1".into(), "e3".into()]));
        cache.keep("Event", "m", &["e1".to_owned()].into());
        assert_eq!((names(&cache, "a"), names(&cache, "b")), (Vec::new(), vec!["e1".into()]));
        cache.remove(&("Event".into(), "m".into(), "e1".into()));
        assert!(cache.events.is_empty() && cache.len() == 0);
    }
}
