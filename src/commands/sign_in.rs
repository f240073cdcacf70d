//! The sign-in walk: the client's secret, the invitation, the browser; `verify --login` and the end of the guided
//! installation.

use std::io::IsTerminal as _;

use crate::check::login::{self, LoginFlow, Loopback};
use crate::check::preflight::oidc;
use crate::cli::{GlobalArgs, LoginArgs, LoginWay};
use crate::cluster::Cluster;
use crate::commands::signals::Signals;
use crate::config::Settings;
use crate::error::Error;
use crate::event::{self, CheckResult, Event, SignIn};
use crate::process::{self, Environment};
use crate::report::{self, Mode, Record, style::Style};
use crate::wizard::{self, WizardError};

/// The way that is asked for; takes the port where it needs one.
pub(super) async fn way(asked: LoginWay, port: u16) -> Result<LoginFlow, Error> {
    match asked {
        LoginWay::Device => Ok(LoginFlow::Device),
        LoginWay::Browser => Loopback::bind(port).await.map(LoginFlow::Browser).map_err(|error| Error::Usage {
            message: format!("cannot listen on 127.0.0.1:{port} for the browser: {error}"),
            hint: Some(login::port_in_use_hint(port)),
        }),
    }
}

/// Where somebody signs in, and what is written down of it.
pub(super) struct Walk<'a> {
    pub(super) global: &'a GlobalArgs,
    pub(super) cluster: &'a Cluster,
    pub(super) settings: &'a Settings,
    pub(super) record: &'a Record,
    /// What the browser gets of ours.
    pub(super) environment: &'a Environment,
}

impl Walk<'_> {
    /// Invites somebody to sign in and returns the verdicts.
    pub(super) async fn begin(&self, way: LoginFlow) -> Result<Vec<CheckResult>, Error> {
        let client = oidc::client(self.cluster, self.settings).await??;
        let style = Style::resolve(self.global);
        let invite = |sign_in: &SignIn| {
            report::sign_in_prompt(sign_in, &style);
            if let SignIn::Browser { address, .. } = sign_in {
                open_browser(address, self.environment);
            }
        };
        let checks = login::sign_in(self.settings, &client, way, invite).await;
        self.write_down(&checks).await;
        Ok(checks)
    }

    /// After a verified installation: offers the walk and returns its verdicts. The installation succeeded, so that a
    /// sign-in that was left or could not be made is no error.
    pub(super) async fn offer(&self, login: LoginArgs, signals: &Signals) -> Vec<CheckResult> {
        let question = "Sign in now to see whether you would be let in?";
        match tokio::task::block_in_place(|| wizard::confirm(&mut wizard::Terminal, question)) {
            Ok(true) => {}
            Ok(false) | Err(WizardError::Interrupted) => return Vec::new(),
            Err(error) => return self.conclude(Err(error.into())),
        }
        let style = Style::resolve(self.global);
        let way = match way(login.way.unwrap_or(LoginWay::Browser), login.port).await {
            Ok(way) => way,
            Err(error) => {
                report::notice(&error.to_string(), &style);
                report::notice("`tailwatch verify --login --login-port PORT` signs in through another port", &style);
                return Vec::new();
            }
        };
        let cancel = signals.hold();
        tokio::select! {
            walked = self.begin(way) => self.conclude(walked),
            () = cancel.cancelled() => {
                report::notice("the sign-in was left; `tailwatch verify --login` begins it again", &style);
                Vec::new()
            }
        }
    }

    /// Shows the verdicts, or why there are none.
    fn conclude(&self, walked: Result<Vec<CheckResult>, Error>) -> Vec<CheckResult> {
        let style = Style::resolve(self.global);
        match walked {
            Ok(checks) => {
                report::write_stdout(&report::checks_table(&checks, &style, report::width()));
                checks
            }
            Err(error) => {
                report::notice(&format!("the sign-in could not be made: {error}"), &style);
                report::notice("`tailwatch verify --login` tries it again", &style);
                Vec::new()
            }
        }
    }

    /// The verdicts belong into the log file and the reports as those of all checks; the table shows them.
    async fn write_down(&self, checks: &[CheckResult]) {
        let (events, stream) = event::channel();
        for check in checks {
            events.send(Event::CheckFinished(check.clone()));
        }
        drop(events);
        report::drain(self.global.clone(), Mode::Quiet, stream, self.record.clone()).await;
    }
}

/// Only where a person sees it, and only a graphical one: `xdg-open` would start a text browser in this terminal.
fn open_browser(address: &str, environment: &Environment) {
    let screen = cfg!(target_os = "macos") || screen(|name| std::env::var(name).ok());
    if std::io::stderr().is_terminal() && !report::in_ci() && screen {
        let (address, environment) = (address.to_owned(), environment.clone());
        // The address was printed; whoever has no browser opens it elsewhere.
        tokio::spawn(async move { process::open(&address, &environment).await });
    }
}

/// A `BROWSER` that is empty or `none` wants none, whatever screen there is.
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
    fn a_browser_is_opened_where_it_can_be_seen_and_is_wanted() {
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
