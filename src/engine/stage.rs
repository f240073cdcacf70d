//! How far the steps of a wave are: a step that is `after` another one starts when that has applied its own objects and
//! CRDs.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::config::ComponentName;
use crate::plan::Wave;

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its own objects and CRDs are not applied yet.
    Started,
    /// They are applied.
    Applied,
    /// It ended before they were.
    NotApplied,
    /// It ended after they were.
    Ended,
}

/// The stages of the steps of one wave, by component.
pub(super) struct Stages(BTreeMap<ComponentName, watch::Sender<Stage>>);

impl Stages {
    pub(super) fn of(wave: &Wave) -> Stages {
        let steps = wave.steps.iter().map(|step| (step.release.component.clone(), watch::Sender::new(Stage::Started)));
        Stages(steps.collect())
    }

    /// The own objects and CRDs of a component are applied.
    pub(super) fn applied(&self, component: &ComponentName) {
        self.change(component, |_| Stage::Applied);
    }

    /// The step of a component ended; one that succeeded has nothing left to apply.
    pub(super) fn ended(&self, component: &ComponentName, succeeded: bool) {
        self.change(component, |stage| match stage {
            Stage::Started if !succeeded => Stage::NotApplied,
            _ => Stage::Ended,
        });
    }

    fn change(&self, component: &ComponentName, next: impl Fn(Stage) -> Stage) {
        if let Some(stage) = self.0.get(component) {
            stage.send_modify(|stage| *stage = next(*stage));
        }
    }

    /// Waits until own objects and CRDs of the component are applied; `false`: its step ended before. A component
    /// without a step in this wave is of an earlier wave, which is ready.
    pub(super) async fn until_applied(&self, component: &ComponentName) -> bool {
        self.until(component, |stage| stage != Stage::Started).await != Stage::NotApplied
    }

    /// Waits until the component's step has ended.
    pub(super) async fn until_ended(&self, component: &ComponentName) {
        self.until(component, |stage| matches!(stage, Stage::Ended | Stage::NotApplied)).await;
    }

    async fn until(&self, component: &ComponentName, is_reached: impl Fn(Stage) -> bool) -> Stage {
        let Some(stage) = self.0.get(component) else { return Stage::Ended };
        let mut stages = stage.subscribe();
        // The sender lives as long as `self`.
        stages.wait_for(|stage| is_reached(*stage)).await.map_or(Stage::Ended, |stage| *stage)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn stages() -> (Stages, ComponentName) {
        let component: ComponentName = "kube-prometheus-stack".parse().unwrap();
        (Stages(BTreeMap::from([(component.clone(), watch::Sender::new(Stage::Started))])), component)
    }

    #[tokio::test]
    async fn a_step_starts_once_the_other_one_has_applied_and_not_after_its_failure() {
        let (stages, component) = stages();
        assert_eq!(stages.until_applied(&component).now_or_never(), None);
        stages.applied(&component);
        assert_eq!(stages.until_applied(&component).now_or_never(), Some(true));
        assert_eq!(stages.until_ended(&component).now_or_never(), None);
        stages.ended(&component, false);
        assert_eq!(stages.until_applied(&component).now_or_never(), Some(true), "a later failure");
        assert_eq!(stages.until_ended(&component).now_or_never(), Some(()));

        let (stages, component) = self::stages();
        stages.ended(&component, false);
        assert_eq!(stages.until_applied(&component).now_or_never(), Some(false));
        assert_eq!(stages.until_ended(&component).now_or_never(), Some(()));
    }

    #[tokio::test]
    async fn a_component_of_an_earlier_wave_is_ready() {
        let (stages, _) = stages();
        let earlier = "tailscale-operator".parse().unwrap();
        assert_eq!(stages.until_applied(&earlier).now_or_never(), Some(true));
        assert_eq!(stages.until_ended(&earlier).now_or_never(), Some(()));
    }
}
