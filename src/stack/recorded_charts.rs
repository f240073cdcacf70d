//! Digests of chart archives that are known before they are fetched, and the record of the applied charts in an
//! annotation of the stack's namespace. Pure: the cluster module reads and writes it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::ChartRepository;

/// Recorded archives of a chart; older ones are dropped. All annotations of an object together may have 256 KiB
/// (Kubernetes, ValidateAnnotationsSize), and one archive takes some 200 bytes.
const MAX_PER_CHART: usize = 12;

/// A digest that an archive must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDigest {
    /// sha256, hex.
    pub sha256: String,
    /// Where it is known from.
    pub source: DigestSource,
}

/// Where a digest is known from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DigestSource {
    /// The publisher's archive, by the catalogue.
    Catalogue,
    /// A run from any machine recorded it in the annotation [`CHARTS_RECORD`](crate::stack::CHARTS_RECORD).
    Cluster {
        /// Namespace with the annotation.
        namespace: String,
    },
    /// The lock file beside the answers file.
    Lock {
        /// The file.
        path: PathBuf,
    },
    /// Its first use on this machine, in the cache folder.
    Machine,
}

/// A chart archive that a run applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedChart {
    /// Chart name.
    pub chart: String,
    /// Chart version.
    pub version: String,
    /// Address or folder of the repository, without credentials.
    pub repository: String,
    /// sha256 of the .tgz, hex.
    pub sha256: String,
}

/// The charts that runs applied, by name, the last applied archive of each first: one entry for each chart, version and
/// repository. An interrupted run and the one that continues it record what an undisturbed run does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordedCharts(Vec<RecordedChart>);

impl RecordedCharts {
    /// Reads the annotation's text; a missing or unreadable one is an empty record.
    pub fn read(text: &str) -> RecordedCharts {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The annotation's text.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The sha256 of this version in this repository.
    pub fn sha256(&self, (chart, version): (&str, &semver::Version), repository: &ChartRepository) -> Option<&str> {
        let of_version = self.0.iter().filter(|known| known.is_of(chart, &version.to_string()));
        let found = of_version.into_iter().find(|known| known.repository == repository.as_str());
        found.map(|known| known.sha256.as_str())
    }

    /// The last applied archive of this version, from any repository.
    pub fn last_applied(&self, chart: &str, version: &str) -> Option<&RecordedChart> {
        self.0.iter().find(|known| known.is_of(chart, version))
    }

    /// The record after a run that applies these.
    #[must_use]
    pub fn after(self, applied: Vec<RecordedChart>) -> RecordedCharts {
        let is_replaced = |known: &RecordedChart| {
            applied.iter().any(|new| new.is_of(&known.chart, &known.version) && new.repository == known.repository)
        };
        let retained: Vec<RecordedChart> = self.0.into_iter().filter(|known| !is_replaced(known)).collect();
        let mut charts = [applied, retained].concat();
        charts.sort_by(|one, other| one.chart.cmp(&other.chart));
        let by_chart = charts.chunk_by(|one, other| one.chart == other.chart);
        RecordedCharts(by_chart.flat_map(|archives| archives.iter().take(MAX_PER_CHART)).cloned().collect())
    }
}

impl RecordedChart {
    fn is_of(&self, chart: &str, version: &str) -> bool {
        self.chart == chart && self.version == version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(version: &str, repository: &str, sha256: &str) -> RecordedChart {
        let [version, repository, sha256] = [version, repository, sha256].map(str::to_owned);
        RecordedChart { chart: "loki".into(), version, repository, sha256 }
    }

    fn sha256<'a>(charts: &'a RecordedCharts, version: &str, repository: &str) -> Option<&'a str> {
        charts.sha256(("loki", &version.parse().unwrap()), &repository.parse().unwrap())
    }

    #[test]
    fn a_digest_is_known_for_its_chart_version_and_repository_only() {
        const ONE: &str = "https://one.example";
        const TWO: &str = "oci://two.example/charts";
        let charts = RecordedCharts::default().after(vec![chart("1.0.0", ONE, "a")]);
        let charts = charts.after(vec![chart("2.0.0", ONE, "b"), chart("1.0.0", TWO, "c")]);
        let charts = RecordedCharts::read(&charts.write());
        assert_eq!(sha256(&charts, "1.0.0", ONE), Some("a"), "an upgrade keeps the digest of the older version");
        assert_eq!(sha256(&charts, "2.0.0", ONE), Some("b"));
        assert_eq!(sha256(&charts, "1.0.0", TWO), Some("c"));
        assert_eq!(sha256(&charts, "2.0.0", TWO), None);
        assert_eq!(charts.sha256(("alloy", &"1.0.0".parse().unwrap()), &ONE.parse().unwrap()), None);
        assert_eq!(charts.last_applied("loki", "1.0.0").unwrap().repository, TWO);
        let charts = charts.after(vec![chart("1.0.0", ONE, "d")]);
        assert_eq!((sha256(&charts, "1.0.0", ONE), charts.0.len()), (Some("d"), 3), "replaced, not added");
        assert_eq!(charts.last_applied("loki", "1.0.0").unwrap().repository, ONE);
    }

    #[test]
    fn a_missing_or_unreadable_record_is_empty_and_a_long_one_keeps_the_newest() {
        for text in ["", "{}", "[{", "[{\"chart\": \"loki\"}]"] {
            assert_eq!(RecordedCharts::read(text), RecordedCharts::default(), "{text}");
        }
        let mut charts = RecordedCharts::default();
        for number in 0..=MAX_PER_CHART {
            charts = charts.after(vec![chart(&format!("{number}.0.0"), "https://one.example", "a")]);
        }
        assert_eq!(charts.0.len(), MAX_PER_CHART);
        assert_eq!((charts.0[0].version.as_str(), charts.0[MAX_PER_CHART - 1].version.as_str()), ("12.0.0", "1.0.0"));
    }

    #[test]
    fn a_run_that_continues_another_records_what_one_run_would() {
        let [loki, alloy] = ["loki", "alloy"]
            .map(|name| RecordedChart { chart: name.into(), ..chart("1.0.0", "https://one.example", "a") });
        let whole = RecordedCharts::default().after(vec![loki.clone(), alloy.clone()]);
        for applied in [&loki, &alloy] {
            assert_eq!(whole.clone().after(vec![applied.clone()]), whole, "{applied:?}");
        }
    }
}
