//! The reports in files: which commands write them, and what these know beyond their events.

use crate::cli::{Command, GlobalArgs};
use crate::cluster::Cluster;
use crate::config::Settings;
use crate::error::Error;
use crate::helm::{self, Helm};
use crate::plan::{Observed, Plan, Step};
use crate::report::{Component, ComponentState, Record, Surroundings};
use crate::stack::Release;

/// The command's name where it writes reports.
pub(super) fn writer(command: Option<&Command>) -> Option<&'static str> {
    match command {
        None | Some(Command::Install { .. }) => Some("install"),
        Some(Command::Upgrade(_)) => Some("upgrade"),
        Some(Command::Preflight { .. }) => Some("preflight"),
        Some(Command::Verify(_)) => Some("verify"),
        Some(_) => None,
    }
}

/// A flag would be without effect; a variable of the environment is there for other commands, too.
pub(super) fn refuse_flags(global: &GlobalArgs) -> Result<(), Error> {
    let flags = [("--junit", &global.junit, "TAILWATCH_JUNIT"), ("--html", &global.html, "TAILWATCH_HTML")];
    for (flag, path, variable) in flags {
        if path.is_some() && std::env::var_os(variable).is_none() {
            return Err(Error::Usage {
                message: format!("this command writes no report, so {flag} has nothing to say"),
                hint: Some("verify, preflight, install, upgrade and the guided installation write reports".into()),
            });
        }
    }
    Ok(())
}

/// Records where the command works.
pub(super) fn note_surroundings(record: &Record, cluster: &Cluster, helm: &Helm, settings: &Settings) {
    record.surroundings(Surroundings {
        context: cluster.context().map(str::to_owned),
        namespace: settings.namespace.to_string(),
        address: format!("https://{}/", settings.grafana_fqdn()),
        kubernetes: cluster.version().to_owned(),
        helm: helm.version().to_string(),
    });
}

/// Records what stands of the wanted releases.
pub(super) fn note_standing(record: &Record, observed: &Observed, releases: &[Release]) {
    let standing = releases.iter().filter_map(|release| observed.releases.get(release.component.as_str()));
    let component = |info: &helm::ReleaseInfo| Component {
        name: info.name.clone(),
        chart_version: info.chart_version.to_string(),
        app_version: Some(info.app_version.clone()).filter(|version| !version.is_empty()),
        state: ComponentState::Installed(info.status.words().to_owned()),
    };
    record.components(standing.map(component).collect());
}

/// Records what is planned.
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
