//! What the suites share: the sandbox, commands and their output, events, signals. A failure here fails the test by a
//! panic, as in the test itself.

mod events;
mod inventory;
mod messages;
mod output;
mod process;
mod run;
mod sandbox;

use std::path::Path;
use std::time::{Duration, Instant};

pub use events::{check, event, named, of_kind, outcomes, verdicts};
pub use inventory::Inventory;
pub use messages::REDACTIONS;
pub use output::CommandOutput;
pub use process::{Signal, children, matching, signal};
pub use run::Run;
pub use sandbox::Sandbox;

/// Waits for something that another process does.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < until, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
