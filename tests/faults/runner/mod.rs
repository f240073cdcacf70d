//! Provokes each fault on one of two sandboxes, runs the binary, and restores the stack.

pub mod corpus;
mod health;
mod run;
pub mod table;
mod testbed;
mod watch;
use std::io::Write as _;
use std::sync::Mutex;

use corpus::Fault;
use table::Judged;
use testbed::Testbed;

/// One per core of a machine with two cores.
const SANDBOXES: usize = 2;

/// Prints progress, also while the test harness captures output.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Runs every fault.
pub fn run_all(faults: Vec<Fault>) -> Vec<Judged> {
    let total = faults.len();
    let queue = Mutex::new(faults.into_iter().rev().collect::<Vec<_>>());
    let judged = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SANDBOXES.min(total) {
            scope.spawn(|| {
                let mut testbed = Testbed::up();
                loop {
                    let Some(fault) = queue.lock().unwrap().pop() else { break };
                    say(&format!("                {}: {}", fault.name, fault.title));
                    let one = testbed.run(&fault);
                    let mut judged = judged.lock().unwrap();
                    judged.push(one);
                    let (count, last) = (judged.len(), &judged[judged.len() - 1]);
                    say(&format!("{count:>3}/{total} {:>4.0} s  {}", last.took.as_secs_f64(), last.line()));
                }
            });
        }
    });
    let mut judged = judged.into_inner().unwrap();
    judged.sort_by(|one, other| one.name.cmp(&other.name));
    judged
}
