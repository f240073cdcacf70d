//! What commands share: from answers to a target, a plan, its confirmation, its run and the verification. Composes
//! `plan`, `check`, `engine` and `wizard`, which do not know one another.

pub(crate) mod available_versions;
pub(crate) mod bundle;
pub(crate) mod changing_run;
pub(crate) mod chosen_versions;
pub(crate) mod connect;
pub(crate) mod durations;
pub(crate) mod execute;
pub(crate) mod export;
pub(crate) mod install_run;
pub(crate) mod lock;
pub(crate) mod new_archive;
pub(crate) mod new_folder;
pub(crate) mod permissions;
pub(crate) mod plan_file;
pub(crate) mod planner;
pub(crate) mod prompts;
pub(crate) mod recorded_runs;
pub(crate) mod report_files;
pub(crate) mod saved_answers;
pub(crate) mod secrets;
pub(crate) mod sign_in;
pub(crate) mod sign_in_plan;
pub(crate) mod uninstall_run;
pub(crate) mod verification;
