//! Executes the waves of a plan.

use std::time::Instant;

use futures::future::join_all;

use crate::cluster::{TrackedRelease, Tracker};
use crate::engine::progress_deadline::{ProgressDeadline, RunDeadline};
use crate::engine::removal::run_removals;
use crate::engine::retry::UnreachableRetry;
use crate::engine::rollback::roll_back;
use crate::engine::rollout_rate::RolloutRate;
use crate::engine::run_result::RunResult;
use crate::engine::slow_step_timer::SlowStepTimer;
use crate::engine::stage::Stages;
use crate::engine::step::{StepRun, execute};
use crate::engine::step_result::{self, FinishedStep};
use crate::engine::{EngineContext, EngineError, StepError};
use crate::event::{Event, Rollback, StepResult};
use crate::plan::{Plan, Step, Wave};

/// Executes the plan. The caller has sent `run-started` and sends `run-finished`.
pub async fn run(context: &EngineContext, plan: &Plan) -> RunResult {
    let mut result = RunResult { steps: Vec::new(), failure: None };
    let mut tracker: Option<Tracker> = None;
    for wave in &plan.waves {
        if result.failure.is_none() && context.cancel.is_cancelled() {
            result.failure = Some(EngineError::Cancelled { wave: wave.number });
        }
        if result.failure.is_none()
            && let Some(run) = context.deadline.filter(|run| plan.has_changes() && run.has_passed())
        {
            let why = format!("wave {} has not started", wave.number);
            result.failure = Some(failure(&wave.steps[0], StepError::Deadline { why, after: run.after }, None));
        }
        if result.failure.is_some() {
            result.steps.extend(wave.steps.iter().map(|step| skip(context, step)));
            continue;
        }
        if plan.has_changes() && tracker.is_none() {
            let deadline = ProgressDeadline::new(context.timeout, context.deadline).at();
            let retry = UnreachableRetry { cluster: &context.cluster, cancel: &context.cancel, deadline };
            match retry.retry_unreachable(|| context.cluster.track(tracked(plan))).await {
                Ok(started) => tracker = Some(started),
                Err(source) => {
                    let first = &wave.steps[0];
                    result.failure = Some(failure(first, StepError::Watch(source).or_cancelled(), None));
                    result.steps.extend(wave.steps.iter().map(|step| skip(context, step)));
                    continue;
                }
            }
        }
        run_wave(context, (plan, wave), tracker.as_ref(), &mut result).await;
    }
    run_removals(context, (&plan.removals, None), &mut result).await;
    result
}

/// Objects to watch of a plan's releases.
pub fn tracked(plan: &Plan) -> Vec<TrackedRelease> {
    let tracked = plan.each_step().map(|step| {
        let release = &step.release;
        let hooks = step.rendered.iter().flat_map(|rendered| &rendered.hooks);
        TrackedRelease::new(release.component.as_str(), &release.namespace, step.manifest().iter().chain(hooks))
            .waiting_for(&release.wait_for)
            .with_own(release.objects.iter().map(|object| &object.manifest))
    });
    tracked.collect()
}

async fn run_wave(
    context: &EngineContext,
    (plan, wave): (&Plan, &Wave),
    tracker: Option<&Tracker>,
    result: &mut RunResult,
) {
    let started = Instant::now();
    context.events.send(Event::WaveStarted { wave: wave.number });
    let stages = Stages::of(wave);
    let steps = wave.steps.iter().map(async |step| {
        let starts = match &step.release.after {
            Some(after) => stages.until_applied(after).await && !context.cancel.is_cancelled(),
            None => true,
        };
        let ended = match starts {
            true => run_step(context, (plan, step, &stages), tracker.cloned()).await,
            false => (skip(context, step), None),
        };
        stages.ended(&step.release.component, ended.1.is_none() && starts);
        ended
    });
    for (step, (outcome, error)) in wave.steps.iter().zip(join_all(steps).await) {
        result.steps.push(outcome);
        if let (Some((error, rollback)), None) = (error, &result.failure) {
            result.failure = Some(failure(step, error, rollback));
        }
    }
    if result.failure.is_none() {
        let seconds = started.elapsed().as_secs_f64();
        context.events.send(Event::WaveFinished { wave: wave.number, seconds });
    }
}

fn failure(step: &Step, source: StepError, rollback: Option<Rollback>) -> EngineError {
    let wave = step.release.wave;
    match source {
        StepError::Cancelled => EngineError::Cancelled { wave },
        source => {
            let component = step.release.component.to_string();
            EngineError::Step { component, wave, rollback: rollback.map(Box::new), source }
        }
    }
}

async fn run_step(
    context: &EngineContext,
    (plan, step, stages): (&Plan, &Step, &Stages),
    tracker: Option<Tracker>,
) -> (StepResult, Option<(StepError, Option<Rollback>)>) {
    let started = Instant::now();
    let (component, wave) = (step.release.component.to_string(), step.release.wave);
    context.events.send(Event::StepStarted { component: component.clone(), wave, action: step.action });
    let (worked, rollback) = match tracker {
        Some(tracker) => {
            let timer = SlowStepTimer::new(context.journal.usual_seconds(&component, step.action));
            let deadline = ProgressDeadline::new(context.timeout, context.deadline);
            let mut run =
                StepRun { context, plan, step, stages, tracker, timer, deadline, rate: RolloutRate::default() };
            let worked = execute(&mut run).await.map_err(StepError::or_cancelled);
            let rollback = match &worked {
                Err(error) if rolls_back(error, run.deadline.passed_run()) => roll_back(&mut run).await,
                _ => None,
            };
            (worked, rollback)
        }
        // The plan changes nothing: the checks verify the installed stack.
        None => (Ok(()), None),
    };
    let outcome = step_result::outcome(&worked, step.action);
    let error = worked.err();
    let seconds = started.elapsed().as_secs_f64();
    let ended = FinishedStep { component, wave, outcome, seconds, rollback: rollback.clone() };
    (ended.emit(context, error.as_ref()), error.map(|error| (error, rollback)))
}

/// Whether a rollback may begin: neither another client changed the release meanwhile, nor did the deadline of the run
/// end a rollout that advances.
fn rolls_back(error: &StepError, passed: Option<RunDeadline>) -> bool {
    !matches!(error, StepError::Changed { .. }) && passed.is_none()
}

fn skip(context: &EngineContext, step: &Step) -> StepResult {
    FinishedStep::skipped(step.release.component.as_str(), step.release.wave).emit(context, None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exit_code;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_rolled_back_at_the_deadline_of_the_run() {
        let timeout = StepError::Timeout { why: "x".into(), after: Duration::from_secs(600), diagnosis: None };
        let run = Some(RunDeadline::starting_now(Duration::from_secs(900)));
        let deadline = ProgressDeadline::new(Duration::from_secs(600), run);
        assert!(rolls_back(&timeout, deadline.passed_run()));
        assert!(!rolls_back(&StepError::Changed { what: "x".into() }, deadline.passed_run()));
        tokio::time::advance(Duration::from_secs(900)).await;
        assert!(!rolls_back(&timeout, deadline.passed_run()));
    }

    #[test]
    fn a_lost_lock_is_the_error_unless_a_step_failed_for_another_reason() {
        let failed = || EngineError::Step {
            component: "loki".into(),
            wave: 32,
            rollback: None,
            source: StepError::InUse { users: "x".into() },
        };
        let code = |failure: Option<EngineError>, lost| {
            let mut result = RunResult { steps: Vec::new(), failure };
            result.note_lost_lock(lost);
            result.failure.map(|failure| failure.exit_code())
        };
        let lost = Some("1@elsewhere holds it now");
        assert_eq!(code(None, None), None);
        assert_eq!(code(None, lost), Some(exit_code::LOCKED), "during the verification");
        assert_eq!(code(Some(EngineError::Cancelled { wave: 32 }), lost), Some(exit_code::LOCKED));
        assert_eq!(code(Some(EngineError::Cancelled { wave: 32 }), None), Some(exit_code::INTERRUPTED));
        assert_eq!(code(Some(failed()), lost), Some(exit_code::INSTALL));
    }
}
