//! Whole objects of a kind by their names, with few requests.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::ListParams;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::cluster::dynamic::{PAGE, whole};
use crate::cluster::{Cluster, ClusterError, permitted};
use crate::stack::{MANAGED_BY, TAILWATCH};

/// Objects per page of a namespace: dashboards and rules can be large.
const SMALL_PAGE: u32 = 50;
/// Kinds of which a namespace can have many large objects of other owners, such as helm's records.
const LARGE: [&str; 2] = ["ConfigMap", "Secret"];
/// Objects that are read by name in parallel.
const AT_ONCE: usize = 8;

impl Cluster {
    /// Objects of a kind with one of the names; `None`: the API server does not serve the kind.
    ///
    /// Several are listed by the label that helm and tailwatch set, which the objects of most other owners lack. Those that lack
    /// it are listed without the label in a namespace; those of cluster-scoped and of large kinds, a single one, and
    /// all without the permission to list are read by name.
    pub async fn find(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        names: &BTreeSet<&str>,
    ) -> Result<Option<Vec<Value>>, ClusterError> {
        self.find_labelled((api_version, kind), namespace, names, &[]).await
    }

    /// As [`Cluster::find`]; objects with a name of `labelled` have the label wherever they exist, so those that the list
    /// lacks are not read by name.
    pub(super) async fn find_labelled(
        &self,
        (api_version, kind): (&str, &str),
        namespace: Option<&str>,
        names: &BTreeSet<&str>,
        labelled: &[&str],
    ) -> Result<Option<Vec<Value>>, ClusterError> {
        let Some(api) = self.api(api_version, kind, namespace).await? else { return Ok(None) };
        let managed = format!("{MANAGED_BY} in (Helm,{TAILWATCH})");
        let is_namespaced = self.is_namespaced((api_version, kind)).await? == Some(true);
        let lists_all = is_namespaced && !LARGE.contains(&kind);
        let page = if is_namespaced { SMALL_PAGE } else { PAGE };
        let (mut found, mut rest) = (Vec::new(), names.clone());
        for labels in [Some(&managed), None].into_iter().take(if lists_all { 2 } else { 1 }) {
            if rest.len() < 2 {
                break;
            }
            let parameters = ListParams { label_selector: labels.cloned(), ..ListParams::default().limit(page) };
            let keep = |object: DynamicObject| {
                if object.metadata.name.as_deref().is_some_and(|name| rest.remove(name)) {
                    found.push(object);
                }
            };
            if permitted(self.pages(&api, kind, parameters, keep).await)?.is_none() {
                break;
            }
            rest.retain(|name| !labelled.contains(name));
        }
        let failed = |error| ClusterError::from_kube(&format!("cannot read {kind} objects"), error);
        let each = futures::stream::iter(rest).map(|name| api.get_opt(name)).buffered(AT_ONCE);
        let each: Vec<Option<DynamicObject>> = each.try_collect().await.map_err(failed)?;
        let all = found.into_iter().chain(each.into_iter().flatten());
        Ok(Some(all.map(|object| whole(object, api_version, kind)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// Objects of a kind by name, and whether they have the label.
    type Live = &'static [(&'static str, bool)];

    /// The names that are found with this state of the cluster, and the requests.
    async fn found(kind: &str, live: Live, may_list: bool, names: &[&str]) -> (Vec<String>, Vec<String>) {
        found_labelled(kind, live, may_list, names, &[]).await
    }

    async fn found_labelled(
        kind: &str,
        live: Live,
        may_list: bool,
        names: &[&str],
        labelled: &[&str],
    ) -> (Vec<String>, Vec<String>) {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let sent = Arc::clone(&requests);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let last = request.uri().path().rsplit('/').next().unwrap().to_owned();
            let is_list = request.uri().query().is_some();
            let is_labelled = request.uri().query().unwrap_or_default().contains("labelSelector");
            let what = if is_labelled { format!("{last} by label") } else { last.clone() };
            sent.lock().unwrap().push(what);
            let object = |name: &str| json!({"metadata": {"name": name, "namespace": "m"}});
            let failure = |code: u16| {
                (
                    code,
                    json!({"kind": "Status", "status": "Failure", "message": "m", "reason": if code == 403 { "Forbidden" } else { "NotFound" }, "code": code}),
                )
            };
            let (code, body) = match (is_list, may_list) {
                (true, false) => failure(403),
                (true, true) => {
                    let listed = live.iter().filter(|(_, label)| *label || !is_labelled);
                    let items: Vec<Value> = listed.map(|(name, _)| object(name)).collect();
                    (200, json!({"metadata": {}, "items": items}))
                }
                (false, _) if live.iter().any(|(name, _)| *name == last) => (200, object(&last)),
                (false, _) => failure(404),
            };
            let body = Body::from(body.to_string().into_bytes());
            async move { http::Response::builder().status(code).body(body) }
        });
        let client = kube::Client::new(service, "m");
        let cluster = Cluster::for_tests(client, Default::default(), Default::default());
        let names = names.iter().copied().collect();
        let found = cluster.find_labelled(("v1", kind), Some("m"), &names, labelled).await.unwrap().unwrap();
        let mut found: Vec<String> =
            found.iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        found.sort();
        let requests = requests.lock().unwrap().clone();
        (found, requests)
    }

    #[tokio::test]
    async fn several_objects_are_one_list() {
        let (names, requests) = found("Secret", &[("a", true), ("b", true), ("other", true)], true, &["a", "b"]).await;
        assert_eq!((names, requests), (vec!["a".into(), "b".into()], vec!["secrets by label".into()]));
    }

    #[tokio::test]
    async fn an_object_without_the_label_is_read_by_its_name() {
        let live = &[("a", true), ("b", true), ("c", false)];
        let (names, requests) = found("Secret", live, true, &["a", "b", "c", "d"]).await;
        assert_eq!((names.len(), requests), (3, vec!["secrets by label".into(), "c".into(), "d".into()]));
        let (names, requests) = found("Service", live, true, &["a", "c", "d"]).await;
        let lists = vec!["services by label".to_owned(), "services".into(), "d".into()];
        assert_eq!((names.len(), requests), (2, lists), "a namespace has few of them");
    }

    #[tokio::test]
    async fn an_object_that_has_the_label_wherever_it_exists_is_not_read_by_its_name() {
        let live = &[("a", true), ("b", true)];
        let (names, requests) = found_labelled("Secret", live, true, &["a", "b", "c"], &["c"]).await;
        assert_eq!((names.len(), requests), (2, vec!["secrets by label".into()]));
        let (_, requests) = found_labelled("Secret", live, false, &["b", "c"], &["c"]).await;
        assert_eq!(requests, ["secrets by label", "b", "c"], "the list is not permitted");
    }

    #[tokio::test]
    async fn one_object_and_all_without_the_permission_to_list_are_read_by_name() {
        let live = &[("a", true), ("b", false)];
        assert_eq!(found("Service", live, true, &["a"]).await, (vec!["a".into()], vec!["a".into()]));
        let (names, requests) = found("Service", live, false, &["a", "b"]).await;
        assert_eq!((names.len(), requests), (2, vec!["services by label".into(), "a".into(), "b".into()]));
    }
}
