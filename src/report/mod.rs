//! Reporters: bars, lines, JSON; tables; report files; error rendering; style. Reads only events, the crate's error and
//! the display flags. Never fails: output to a broken terminal or pipe is dropped.

mod checks_table;
mod data_path;
mod diagnosis_table;
mod error_message;
mod event_reporter;
mod explanation;
mod files;
mod github_actions;
#[cfg(test)]
mod golden_tests;
mod html;
mod junit;
mod labelled_block;
mod labels;
mod lines;
mod live;
mod manifests;
mod output;
mod panic;
mod plan_table;
mod record;
#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod replay_tests;
mod reporter;
mod saved_terminal;
mod sign_in_prompt;
mod steps_summary;
mod style;
mod summary_line;
mod ui;
mod uninstall_table;
mod upgrade_table;
mod wrap;
mod written_files;

pub use checks_table::{checks_overview, checks_table};
pub use diagnosis_table::{Examined, findings_table};
pub use error_message::run_error;
pub use event_reporter::EventReporter;
pub use explanation::explanations;
pub use files::{Files, Reports, judge_log, write_file};
pub use manifests::manifests;
pub use output::write_stdout;
pub use panic::{keep_panics, last_panic};
pub use plan_table::{diff_text, plan_table, status_table, updates};
pub use record::{Component, ComponentState, Record, RunEnvironment};
pub use saved_terminal::SavedTerminal;
pub use sign_in_prompt::sign_in_prompt;
pub use style::Style;
pub use ui::{Format, Interaction, Ui, in_ci};
pub use uninstall_table::{removal_table, retained_table};
pub use upgrade_table::upgrade_table;
pub use wrap::{took, wrap};
pub use written_files::written_files;
