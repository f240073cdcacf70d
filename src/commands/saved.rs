//! Answers with those that an earlier run kept in the cluster.

use serde_json::Value;

use crate::cli::{GlobalArgs, SettingsArgs};
use crate::cluster::{Cluster, ObjectRef};
use crate::commands::settings_sources;
use crate::config::{self, Draft, Settings};
use crate::error::Error;
use crate::stack::{SAVED_ANSWERS, SAVED_ANSWERS_KEY};

/// The draft with the cluster's saved answers as its weakest source but the defaults.
pub(super) async fn add(draft: Draft, cluster: &Cluster) -> Result<Draft, Error> {
    let namespace = draft.text("namespace").map_or_else(String::new, |(text, _)| text);
    let reference = ObjectRef {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespace: Some(namespace),
        name: SAVED_ANSWERS.into(),
    };
    let kept = cluster.get(&reference).await?;
    let text = kept.as_ref().and_then(|object| object.pointer("/data")?.get(SAVED_ANSWERS_KEY)).and_then(Value::as_str);
    Ok(match text {
        Some(text) => config::add_saved(draft, text)?,
        None => draft,
    })
}

/// Answers from all sources but prompts and the cluster. Broken ones are told before anybody is called.
pub(super) fn judged(global: &GlobalArgs, arguments: &SettingsArgs) -> Result<Draft, Error> {
    let draft = config::load(&settings_sources(global, arguments))?;
    if draft.missing().is_empty() {
        draft.finish()?;
    }
    Ok(draft)
}

/// Settings from all sources but prompts.
pub(super) async fn settings(draft: Draft, cluster: &Cluster) -> Result<Settings, Error> {
    Ok(add(draft, cluster).await?.finish()?)
}
