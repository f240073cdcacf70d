//! The sign-in of `verify --login` and of the guided installation: client secret, prompt, browser.

use std::io::IsTerminal as _;

use crate::check::login::{self, LoginFlow, Loopback};
use crate::check::preflight::oidc;
use crate::cli::{LoginArgs, LoginMethod};
use crate::cluster::Cluster;
use crate::config::Settings;
use crate::error::Error;
use crate::event::{CheckResult, SignIn};
use crate::process::{self, Environment};
use crate::report;
use crate::session::Session;
use crate::wizard::{self, WizardError};

/// The login flow of the flag; the browser flow binds the port.
pub(crate) async fn flow(method: LoginMethod, port: u16) -> Result<LoginFlow, Error> {
    match method {
        LoginMethod::Device => Ok(LoginFlow::Device),
        LoginMethod::Browser => Loopback::bind(port).await.map(LoginFlow::Browser).map_err(|error| Error::Usage {
            message: format!("cannot listen on 127.0.0.1:{port} for the browser: {error}"),
            hint: Some(login::port_in_use_hint(port)),
        }),
    }
}

/// One sign-in.
pub(crate) struct LoginRun<'a> {
    pub(crate) session: &'a Session,
    pub(crate) cluster: &'a Cluster,
    pub(crate) settings: &'a Settings,
    /// Environment of the browser.
    pub(crate) environment: &'a Environment,
}

impl LoginRun<'_> {
    /// Prompts the user to sign in and returns the check results.
    pub(crate) async fn run(&self, flow: LoginFlow) -> Result<Vec<CheckResult>, Error> {
        let client = oidc::client(self.cluster, self.settings).await??;
        let show_prompt = |sign_in: &SignIn| {
            self.session.ui.message(|style, width| report::sign_in_prompt(sign_in, style, width));
            if let SignIn::Browser { address, .. } = sign_in {
                open_browser(address, self.environment);
            }
        };
        let checks = login::sign_in(self.settings, &client, flow, show_prompt).await;
        self.session.verdicts(&checks);
        Ok(checks)
    }

    /// After a verified installation: offers the sign-in and returns the check results. A cancelled or failed sign-in
    /// is not an error, since the installation succeeded.
    pub(crate) async fn offer(&self, login: LoginArgs) -> Vec<CheckResult> {
        let question = "Sign in now to test your access?";
        match tokio::task::block_in_place(|| wizard::confirm(&mut wizard::Terminal, question)) {
            Ok(true) => {}
            Ok(false) | Err(WizardError::Interrupted) => return Vec::new(),
            Err(error) => return self.conclude(Err(error.into())),
        }
        let flow = match flow(login.method.unwrap_or(LoginMethod::Browser), login.port).await {
            Ok(flow) => flow,
            Err(error) => {
                self.session.notice(error.to_string());
                self.session.notice("`tailwatch verify --login --login-port PORT` signs in through another port");
                return Vec::new();
            }
        };
        let cancel = self.session.signals.hold();
        tokio::select! {
            ended = self.run(flow) => self.conclude(ended),
            () = cancel.cancelled() => {
                self.session.notice("the sign-in was cancelled; `tailwatch verify --login` starts it again");
                Vec::new()
            }
        }
    }

    /// Shows the check results or the error.
    fn conclude(&self, ended: Result<Vec<CheckResult>, Error>) -> Vec<CheckResult> {
        match ended {
            Ok(checks) => {
                self.session.ui.data(|style, width| report::checks_table(&checks, style, width));
                checks
            }
            Err(error) => {
                self.session.notice(format!("the sign-in failed: {error}"));
                self.session.notice("`tailwatch verify --login` starts it again");
                Vec::new()
            }
        }
    }
}

/// Only on a terminal with a graphical screen: otherwise `xdg-open` would start a text browser in this terminal.
fn open_browser(address: &str, environment: &Environment) {
    let screen = cfg!(target_os = "macos") || screen(|name| std::env::var(name).ok());
    if std::io::stderr().is_terminal() && !report::in_ci() && screen {
        let (address, environment) = (address.to_owned(), environment.clone());
        // Errors are ignored: the prompt shows the address.
        tokio::spawn(async move { process::open(&address, &environment).await });
    }
}

/// Whether a graphical browser can open; an empty `BROWSER` or `none` disables it.
fn screen(variable: impl Fn(&str) -> Option<String>) -> bool {
    match variable("BROWSER").as_deref() {
        Some("" | "none") => false,
        Some(_) => true,
        None => ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"]
            .into_iter()
            .any(|name| variable(name).is_some_and(|value| !value.is_empty())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_opens_on_a_screen_unless_disabled() {
        for (browser, display, opened) in [
            (None, None, false),
            (None, Some(""), false),
            (None, Some(":0"), true),
            (Some("firefox"), None, true),
            (Some(""), Some(":0"), false),
            (Some("none"), Some(":0"), false),
        ] {
            let variable = |name: &str| match name {
                "BROWSER" => browser.map(str::to_owned),
                "DISPLAY" => display.map(str::to_owned),
                _ => None,
            };
            assert_eq!(screen(variable), opened, "{browser:?} {display:?}");
        }
    }
}
