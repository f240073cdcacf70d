//! `tailwatch replay`: shows recorded runs as they were shown. Needs no cluster.

use std::path::Path;

use crate::error::{self, Error};
use crate::event::Event;
use crate::report;
use crate::session::Session;
use crate::workflow::recorded_runs;

pub(super) async fn replay(session: &Session, file: &Path, speed: u16) -> Result<u8, Error> {
    let events = recorded_runs::read(file)?;
    for run in events.split_inclusive(|timed| matches!(timed.event, Event::RunFinished(_))) {
        session.replay(run, speed).await;
        let mut retained = None;
        for timed in run {
            match &timed.event {
                Event::Retained { objects } => retained = Some(objects),
                Event::RunFinished(summary) => {
                    session.ui.summary(summary);
                    if let Some(objects) = retained {
                        session.ui.data(|style, width| report::retained_table(objects, style, width));
                    }
                    summary.error.iter().for_each(|error| session.ui.recorded_error(error));
                }
                _ => {}
            }
        }
    }
    Ok(error::OK)
}
