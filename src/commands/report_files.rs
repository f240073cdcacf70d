//! The report files: which commands write them, and the data that no event has.

use crate::cli::{Command, GlobalArgs};
use crate::cluster::Cluster;
use crate::config::Settings;
use crate::error::Error;
use crate::helm::{self, Helm};
use crate::plan::{Observed, Plan, Step};
use crate::report::{Component, ComponentState, Record, Surroundings};
use crate::stack::Release;

/// Name of a command that writes reports.
pub(super) fn writer(command: Option<&Command>) -> Option<&'static str> {
    match command {
        None | Some(Command::Install { .. }) => Some("install"),
        Some(Command::Upgrade(_)) => Some("upgrade"),
        Some(Command::Preflight { .. }) => Some("preflight"),
        Some(Command::Verify(_)) => Some("verify"),
        Some(_) => None,
    }
}

/// A report flag without effect is an error; its environment variable may be set for other commands.
pub(super) fn reject_flags(global: &GlobalArgs) -> Result<(), Error> {
    let flags = [("--junit", &global.junit, "TAILWATCH_JUNIT"), ("--html", &global.html, "TAILWATCH_HTML")];
    for (flag, path, variable) in flags {
        if path.is_some() && std::env::var_os(variable).is_none() {
            return Err(Error::Usage {
                message: format!("{flag} has no effect: this command writes no report"),
                hint: Some("verify, preflight, install, upgrade and the guided installation write reports".into()),
            });
        }
    }
    Ok(())
}

/// Records cluster and tools.
pub(super) fn note_surroundings(record: &Record, cluster: &Cluster, helm: &Helm, settings: &Settings) {
    record.surroundings(Surroundings {
        context: cluster.context().map(str::to_owned),
        namespace: settings.namespace.to_string(),
        address: format!("https://{}/", settings.grafana_fqdn()),
        kubernetes: cluster.version().to_owned(),
        helm: helm.version().to_string(),
    });
}

/// Records the installed releases.
pub(super) fn note_installed(record: &Record, observed: &Observed, releases: &[Release]) {
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
pub(super) fn note_planned(record: &Record, plan: &Plan) {
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
