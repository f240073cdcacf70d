//! Data of the report files that no event has.

use crate::cluster::Cluster;
use crate::config::Settings;
use crate::helm::{self, Helm};
use crate::plan::{Observed, Plan, Step};
use crate::report::{Component, ComponentState, Record, RunEnvironment};
use crate::stack::Release;

/// Records cluster and tools.
pub(crate) fn note_surroundings(record: &Record, cluster: &Cluster, helm: &Helm, settings: &Settings) {
    record.surroundings(RunEnvironment {
        context: cluster.context().map(str::to_owned),
        namespace: settings.namespace.to_string(),
        address: format!("https://{}/", settings.grafana_fqdn()),
        kubernetes: cluster.version().to_owned(),
        helm: helm.version().to_string(),
    });
}

/// Records the installed releases.
pub(crate) fn note_installed(record: &Record, observed: &Observed, releases: &[Release]) {
    let installed = releases.iter().filter_map(|release| observed.releases.get(release.component.as_str()));
    let component = |info: &helm::ReleaseInfo| Component {
        name: info.name.clone(),
        chart_version: info.chart_version.to_string(),
        app_version: Some(info.app_version.clone()).filter(|version| !version.is_empty()),
        state: ComponentState::Installed(info.status.words().to_owned()),
    };
    record.components(installed.map(component).collect());
}

/// Records the planned releases.
pub(crate) fn note_planned(record: &Record, plan: &Plan) {
    let component = |step: &Step| {
        let app_version = match &step.rendered {
            Some(rendered) => helm::app_version(&rendered.chart.path),
            None => step.from.as_ref().map(|from| from.app_version.clone()),
        };
        Component {
            app_version: app_version.filter(|version| !version.is_empty()),
            chart_version: step.release.chart.version.to_string(),
            state: ComponentState::Planned(step.action),
            name: step.release.component.to_string(),
        }
    };
    record.components(plan.each_step().map(component).collect());
}
