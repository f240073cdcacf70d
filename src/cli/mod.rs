//! clap types of the command line. No logic beyond value parsing.

mod command;
mod flags;

pub use command::{AnswersCommand, Cli, Command, streaming_command};
pub use flags::{
    BundleArgs, ColorChoice, ExportArgs, ExportTool, GlobalArgs, InstallArgs, LoginArgs, LoginMethod, Output, PlanArgs,
    RbacArgs, RbacCommand, SecretTemplate, SettingsArgs, StatusArgs, UninstallArgs, UpgradeArgs, VerifyArgs,
    from_environment,
};
