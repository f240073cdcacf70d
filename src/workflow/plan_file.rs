//! The file that `plan --out` writes and `install --plan` reads.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cluster::Cluster;
use crate::config::Settings;
use crate::error::Error;
use crate::helm::Ownership;
use crate::input_file;
use crate::plan::{FORMAT, Plan, PlanError, Review, ReviewedPlan};
use crate::report;

/// Limit of the file, in bytes.
const LARGEST: u64 = 16 << 20;

/// The content of the file.
pub(crate) fn reviewed(cluster: &Cluster, settings: &Settings, plan: &Plan, ownership: Ownership) -> ReviewedPlan {
    let identity = cluster.identity().to_string();
    let review =
        Review { cluster: &identity, namespace: settings.namespace.as_str(), adopt: ownership == Ownership::Take };
    ReviewedPlan::of(plan, review)
}

/// Writes the file.
pub(crate) fn write(path: &Path, plan: &ReviewedPlan) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(plan).map_err(std::io::Error::from);
    text.and_then(|text| report::write_file(path, &format!("{text}\n"))).map_err(|error| Error::Usage {
        message: format!("--out {} cannot be written: {error}", path.display()),
        hint: Some("choose a file in an existing folder with write permission".into()),
    })
}

/// A reviewed plan and its file.
pub(crate) struct Reviewed {
    path: PathBuf,
    plan: ReviewedPlan,
}

impl Reviewed {
    /// Reads the file of `--plan`.
    pub(crate) fn read(path: &Path) -> Result<Reviewed, Error> {
        Ok(Reviewed { path: path.to_owned(), plan: read(path)? })
    }

    /// An error if the current plan differs.
    pub(crate) fn confirm(&self, now: &ReviewedPlan) -> Result<(), Error> {
        let file = self.path.display().to_string();
        self.plan.difference(now).map_or(Ok(()), |why| Err(PlanError::Reviewed { file, why }.into()))
    }
}

fn read(path: &Path) -> Result<ReviewedPlan, Error> {
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    let rejected = |found: String| Error::Usage {
        message: format!("--plan {}: {found}", path.display()),
        hint: Some("write the plan again with `tailwatch plan --out FILE`, and review it".into()),
    };
    let text = input_file::read_text(path, LARGEST).map_err(|error| rejected(error.to_string()))?;
    let not_a_plan = |error: serde_json::Error| rejected(format!("not a plan of `tailwatch plan --out`: {error}"));
    let Version { version } = serde_json::from_str(&text).map_err(not_a_plan)?;
    if version != u64::from(FORMAT) {
        return Err(rejected(format!("the plan has format {version}, this tailwatch reads format {FORMAT}")));
    }
    serde_json::from_str(&text).map_err(not_a_plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_a_plan_is_rejected_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        for (text, reason) in [
            ("", "line 1"),
            ("{}", "version"),
            ("{\"version\": 2}", "format 2"),
            ("{\"version\": 1, \"cluster\": 3}", "line 1"),
            ("{\"version\": 1, \"stpes\": []}", "stpes"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            assert_eq!(error.exit_code(), crate::error::USAGE);
            assert!(error.to_string().contains(reason), "{text}: {error}");
        }
        assert!(read(folder.path()).is_err() && read(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn a_plan_replaces_only_a_regular_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, pipe) = (folder.path().join("file"), folder.path().join("link"), folder.path().join("pipe"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let plan = ReviewedPlan {
            version: FORMAT,
            cluster: "u1".into(),
            namespace: "monitoring".into(),
            adopt: false,
            takeovers: Vec::new(),
            steps: Vec::new(),
            releases: Vec::new(),
            preconditions: Vec::new(),
        };
        write(&link, &plan).unwrap();
        assert!(link.is_symlink());
        assert_eq!(read(&file).unwrap(), plan);
        for other in [&pipe, folder.path(), &folder.path().join("missing/plan.json")] {
            assert_eq!(write(other, &plan).unwrap_err().exit_code(), crate::error::USAGE, "{}", other.display());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
