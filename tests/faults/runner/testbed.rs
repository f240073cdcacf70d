//! A sandbox with the installed stack, on which faults run one after the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use support::{CommandOutput, Sandbox};

use crate::TAILWATCH;
use crate::runner::corpus::{Fault, How, Symptom};
use crate::runner::health;
use crate::runner::run::{self, Ran, Until};
use crate::runner::table::Judged;
use crate::runner::watch::{Key, Watches};

/// Limit from the symptom to the expected rule.
const TIMEOUT: Duration = Duration::from_secs(25);
/// Limit of any run.
const LONG_TIMEOUT: Duration = Duration::from_secs(90);
/// Limit for a symptom that `diagnose` waits for, and for the recovery of the stack.
const RECOVERY: Duration = Duration::from_secs(30);
const NAMESPACE: &str = "monitoring";

/// One sandbox and the objects of its first installation.
pub struct Testbed {
    sandbox: Sandbox,
    watches: Watches,
    lasting: Vec<Key>,
    /// Revision of each release before the next fault.
    revisions: BTreeMap<String, u64>,
}

impl Testbed {
    pub fn up() -> Testbed {
        let sandbox = Sandbox::up(TAILWATCH, &[]);
        install(&sandbox).expect("the stack installs");
        let watches = Watches::start(&sandbox.file("kubeconfig"));
        let mut testbed = Testbed { sandbox, watches, lasting: vec![], revisions: BTreeMap::new() };
        testbed.healthy().expect("a healthy stack");
        testbed.lasting = health::lasting(&testbed.watches.objects());
        testbed.revisions = testbed.releases().into_iter().map(|(name, revision, _)| (name, revision)).collect();
        testbed
    }

    /// Provokes a fault, runs the binary, and undoes the fault.
    pub fn run(&mut self, fault: &Fault) -> Judged {
        self.watches.forget();
        let began = Instant::now();
        let mut judged = match self.provoke(fault) {
            Ok(()) => self.judge(fault),
            Err(wrong) => Judged::unprovoked(fault, wrong),
        };
        let mended = self.restore(fault).or_else(|wrong| {
            judged.trouble.get_or_insert(format!("undoing it did not help: {wrong}"));
            self.start_over()
        });
        mended.expect("a healthy stack after a new start");
        judged.took = began.elapsed();
        judged
    }

    fn provoke(&self, fault: &Fault) -> Result<(), String> {
        if !fault.objects.is_empty() {
            std::fs::write(
                self.objects_file(),
                json!({"apiVersion": "v1", "kind": "List", "items": fault.objects}).to_string(),
            )
            .unwrap();
            self.act(&["kubectl", "apply", "-f", &self.objects_file()], &fault.folder)?;
        }
        self.switch(fault, "on")?;
        self.act_all(&fault.before, &fault.folder)
    }

    fn judge(&self, fault: &Fault) -> Judged {
        let mut judged = match fault.how {
            How::Install => self.run_into(fault),
            How::Diagnose => self.diagnose(fault),
        };
        if judged.seconds.is_none() && judged.symptom.is_none() && fault.symptom.is_some() {
            judged.trouble.get_or_insert("the symptom was not seen".to_owned());
        }
        judged
    }

    fn run_into(&self, fault: &Fault) -> Judged {
        let answers = self.sandbox.file("fault-answers.json").display().to_string();
        write_answers(&self.sandbox, &answers, json!({&fault.component: fault.values()}));
        let mut command = self.sandbox.tailwatch_command(&[
            "install",
            "--answers",
            &answers,
            "--yes",
            "--skip-verify",
            "--output",
            "json",
        ]);
        command.args(&fault.arguments);
        if let Some(kubeconfig) = &fault.kubeconfig {
            command.env("KUBECONFIG", self.sandbox.file(kubeconfig));
        }
        let mut trouble = None;
        let mut ahead = fault.during.iter();
        let mut next = ahead.next();
        let mut is_enough = |ran: &Ran| {
            let shown = self.shown(fault, ran);
            if let Some(during) = next.filter(|during| shown.is_some_and(|shown| shown >= during.after)) {
                trouble = trouble.take().or(self.act_all(&during.commands, &fault.folder).err());
                next = ahead.next();
            }
            !fault.transient && shown.is_some_and(|shown| shown > TIMEOUT.as_secs_f64())
        };
        let until = Until { rule: fault.expect.as_deref(), at_most: LONG_TIMEOUT, is_enough: &mut is_enough };
        let ran = run::install(command, until);
        let symptom = fault.symptom.as_ref().and_then(|symptom| self.first(symptom, ran.started));
        keep(fault, &ran, symptom.as_ref().map(|(_, shown)| shown.as_str()));
        let mut judged = Judged::of(fault, &ran, symptom.map(|(at, _)| at.max(ran.started)));
        judged.trouble = trouble.or(judged.trouble);
        if let Some(check) = ran.reporting_check().filter(|_| fault.expect.is_some()) {
            judged.reported_by(check);
        }
        judged
    }

    /// Seconds since the symptom; without a symptom, since the step of the release began.
    fn shown(&self, fault: &Fault, ran: &Ran) -> Option<f64> {
        let since = match &fault.symptom {
            Some(symptom) => self.first(symptom, ran.started).map(|(at, _)| at.max(ran.started)),
            None => ran.step_of(&fault.component),
        };
        since.map(|since| Timestamp::now().duration_since(since).as_secs_f64())
    }

    fn diagnose(&self, fault: &Fault) -> Judged {
        let shown = || fault.symptom.as_ref().and_then(|Symptom { kind, contains }| self.watches.first(kind, contains));
        if fault.symptom.is_some() && !eventually(|| shown().is_some()) {
            return Judged::unprovoked(fault, "the symptom was not seen".to_owned());
        }
        let ran = run::diagnose(self.sandbox.tailwatch_command(&["diagnose", "--output", "json"]));
        keep(fault, &ran, shown().as_ref().map(|(_, shown)| shown.as_str()));
        Judged::of(fault, &ran, Some(ran.started))
    }

    fn first(&self, symptom: &Symptom, since: Timestamp) -> Option<(Timestamp, String)> {
        match symptom.kind.as_str() {
            "helm" => first_refusal(&self.sandbox.file("audit.log"), &symptom.contains, since),
            kind => self.watches.first(kind, &symptom.contains),
        }
    }

    /// Undoes a fault and rolls back to the revisions before it.
    fn restore(&mut self, fault: &Fault) -> Result<(), String> {
        self.switch(fault, "off")?;
        self.act_all(&fault.after, &fault.folder)?;
        let here = Path::new(".");
        if !fault.objects.is_empty() {
            self.act(&["kubectl", "delete", "--ignore-not-found", "--timeout=20s", "-f", &self.objects_file()], here)?;
        }
        // The next run would read the saved answers of this one, and a killed run leaves its lock.
        self.act(
            &[
                "kubectl",
                "-n",
                NAMESPACE,
                "delete",
                "--ignore-not-found",
                "secret/tailwatch-answers",
                "lease/tailwatch",
            ],
            here,
        )?;
        self.roll_back()?;
        self.healthy()
    }

    fn roll_back(&mut self) -> Result<(), String> {
        for (name, revision, status) in self.releases() {
            let Some(before) = self.revisions.get(&name).copied() else { continue };
            if status != "deployed" || revision != before {
                self.act(&["helm", "rollback", &name, &before.to_string(), "-n", NAMESPACE], Path::new("."))?;
                self.revisions.insert(name, revision + 1);
            }
        }
        Ok(())
    }

    /// Waits until every object of the first installation is ready. A pod that cannot start blocks the rollout of its
    /// StatefulSet, so such pods are deleted.
    fn healthy(&self) -> Result<(), String> {
        let mut calm = 0;
        let mut last = Instant::now();
        let well = eventually(|| {
            let objects = self.watches.objects();
            let unhealthy = health::unhealthy(&objects, &self.lasting);
            calm = if unhealthy.is_empty() { calm + 1 } else { 0 };
            let pods = health::unready_pods(&objects, NAMESPACE);
            if !pods.is_empty() && last.elapsed() > Duration::from_secs(2) {
                let mut words = vec![
                    "kubectl",
                    "-n",
                    NAMESPACE,
                    "delete",
                    "pod",
                    "--ignore-not-found",
                    "--wait=false",
                    "--grace-period=0",
                    "--force",
                ];
                words.extend(pods.iter().map(String::as_str));
                let _ = self.act(&words, Path::new("."));
                last = Instant::now();
            }
            calm >= 3
        });
        if well { Ok(()) } else { Err(health::unhealthy(&self.watches.objects(), &self.lasting).join(", ")) }
    }

    /// Resets the sandbox and installs the stack.
    fn start_over(&mut self) -> Result<(), String> {
        self.act(&["sandbox", "reset"], Path::new("."))?;
        install(&self.sandbox)?;
        self.watches = Watches::start(&self.sandbox.file("kubeconfig"));
        self.revisions = self.releases().into_iter().map(|(name, revision, _)| (name, revision)).collect();
        self.healthy()
    }

    /// (release, revision, status)
    fn releases(&self) -> Vec<(String, u64, String)> {
        let listed = self.sandbox.helm(&["list", "-n", NAMESPACE, "-o", "json", "--deployed", "--failed", "--pending"]);
        let releases: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap_or_default();
        let text = |release: &Value, key: &str| release[key].as_str().unwrap_or_default().to_owned();
        let revision = |release: &Value| text(release, "revision").parse().unwrap_or_default();
        releases.iter().map(|one| (text(one, "name"), revision(one), text(one, "status"))).collect()
    }

    fn objects_file(&self) -> String {
        self.sandbox.file("fault-objects.json").display().to_string()
    }

    fn switch(&self, fault: &Fault, to: &str) -> Result<(), String> {
        let Some(kind) = &fault.fault else { return Ok(()) };
        let kind = kind.replace('@', &format!("@{}/", fault.folder.display()));
        self.act(&["sandbox", "fault", &kind, to], &fault.folder)
    }

    fn act_all(&self, commands: &[Vec<String>], folder: &Path) -> Result<(), String> {
        commands.iter().try_for_each(|words| self.act(&words.iter().map(String::as_str).collect::<Vec<_>>(), folder))
    }

    /// Runs a command of the corpus.
    fn act(&self, words: &[&str], folder: &Path) -> Result<(), String> {
        let said = self.sandbox.act(words, folder);
        if said.code == Some(0) { Ok(()) } else { Err(format!("`{}`: {}", words.join(" "), said.stderr.trim())) }
    }
}

fn eventually(mut is_so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + RECOVERY;
    while !is_so() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}

/// Installs the stack.
fn install(sandbox: &Sandbox) -> Result<(), String> {
    let answers = sandbox.file("base-answers.json").display().to_string();
    write_answers(sandbox, &answers, json!({}));
    let CommandOutput { code, stderr, .. } =
        sandbox.tailwatch(&["install", "--answers", &answers, "--yes", "--skip-verify"]);
    if code == Some(0) { Ok(()) } else { Err(stderr) }
}

/// The sandbox's answers with values. The StorageClass is explicit, since a fault removes the default one.
fn write_answers(sandbox: &Sandbox, file: &str, values: Value) {
    let text = std::fs::read_to_string(sandbox.answers()).unwrap();
    let mut answers: Value = serde_yaml::from_str(&text).unwrap();
    answers["storage"] = json!({"class": "standard"});
    answers["values"] = values;
    std::fs::write(file, answers.to_string()).unwrap();
}

/// The first rejected request of helm or the binary with an error that contains the text: time and error.
fn first_refusal(audit: &Path, text: &str, since: Timestamp) -> Option<(Timestamp, String)> {
    let log = std::fs::read_to_string(audit).ok()?;
    let refusals = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(|event| {
        let agent = event["userAgent"].as_str().unwrap_or_default();
        let code = event["responseStatus"]["code"].as_i64().unwrap_or_default();
        code >= 400 && (agent.starts_with("Helm") || agent.starts_with("tailwatch"))
    });
    let reported = |event: Value| {
        let at: Timestamp = event["stageTimestamp"].as_str()?.parse().ok()?;
        let answer = event["responseStatus"].to_string();
        (at >= since && answer.contains(text)).then_some((at, answer))
    };
    refusals.filter_map(reported).next()
}

/// Writes the details of a run to target/faults/NAME.txt.
fn keep(fault: &Fault, ran: &Ran, symptom: Option<&str>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/faults");
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "{}\n\nsymptom:\n{}\n\nstdout:\n{}\n\nstderr (exit code {:?}):\n{}",
        fault.title,
        symptom.unwrap_or("not seen"),
        ran.stdout.join("\n"),
        ran.code,
        ran.stderr
    );
    std::fs::write(folder.join(format!("{}.txt", fault.name)), text).unwrap();
}
