//! Rendered charts.

use serde_json::Value;

use crate::cluster::namespace_of;
use crate::helm::FetchedChart;
use crate::stack::Release;

/// A chart on disk and its rendered objects.
#[derive(Clone, Debug)]
pub struct RenderedRelease {
    /// The archive.
    pub chart: FetchedChart,
    /// Rendered objects without hooks.
    pub manifest: Vec<Value>,
    /// Hooks, which helm creates and deletes.
    pub hooks: Vec<Value>,
    /// CRDs to apply before the release; empty unless the policy requires it.
    pub crds: Vec<Value>,
}

/// A release that helm is about to install or change.
#[derive(Clone, Copy, Debug)]
pub struct PlannedRelease<'a> {
    /// Its desired state.
    pub release: &'a Release,
    /// Rendered objects without hooks.
    pub rendered: &'a [Value],
    /// Rendered hooks.
    pub hooks: &'a [Value],
    /// CRDs that are applied before it.
    pub crds: &'a [Value],
    /// Objects of the installed revision; empty for a new release.
    pub installed: &'a [Value],
}

impl<'a> PlannedRelease<'a> {
    /// Every object that is created with it, including hooks and our own objects; not its CRDs.
    pub fn everything(&self) -> impl Iterator<Item = &'a Value> {
        let own = self.release.objects.iter().map(|object| &object.manifest);
        self.rendered.iter().chain(self.hooks).chain(own)
    }

    /// The namespace of one of its objects.
    pub fn namespace_of<'b>(&'b self, object: &'b Value) -> &'b str {
        namespace_of(object, &self.release.namespace)
    }
}
