//! Signing in, through the tailnet's proxy, the real oauth2-proxy and a real OpenID provider.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Output, Stdio};

use serde_json::Value;
use support::{CommandOutput, Sandbox, Signal, check, signal};

use crate::TAILWATCH;
use crate::browser::Browser;

const GRAFANA: &str = "https://grafana.tail1a2b.ts.net/";

#[test]
fn the_oauth2_proxy_lets_in_the_groups_that_were_asked_for_and_no_one_else() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    sandbox.install(&[]).ended_with(0);
    for (who, status, shown) in [
        ("member@acme.example", 200, "Grafana"),
        ("admin@acme.example", 200, "Grafana"),
        ("outsider@acme.example", 403, "Forbidden"),
        ("unclaimed@acme.example", 403, "Forbidden"),
        ("unverified@acme.example", 500, "Internal Server Error"),
    ] {
        let browser = Browser::new(&sandbox);
        let page = browser.open_as(who, GRAFANA);
        assert!(page.status == status && page.body.contains(shown), "{who}: {page:?}");
        // Who is in stays in, and who is not is asked again.
        let again = browser.open(GRAFANA, &[]);
        assert_eq!(again.status, status, "{who}: {again:?}");
    }
}

/// A `tailwatch verify --login` that waits for somebody.
struct Walk {
    program: Child,
    reported: BufReader<ChildStderr>,
    prompt: String,
}

impl Walk {
    /// Starts it and waits until it invites.
    #[track_caller]
    fn begin(sandbox: &Sandbox, login: &[&str]) -> Walk {
        let mut command =
            sandbox.tailwatch_command(&["verify", "--check", "oauth2-proxy-redirect", "--output", "json"]);
        command.args(login).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = command.spawn().expect("tailwatch runs");
        let mut reported = BufReader::new(program.stderr.take().unwrap());
        let mut prompt = String::new();
        while !prompt.contains("Ctrl-C cancels") {
            let read = reported.read_line(&mut prompt).unwrap();
            assert!(read > 0, "it ended without a prompt:\n{prompt}");
        }
        Walk { program, reported, prompt }
    }

    /// Where to sign in.
    fn address(&self) -> &str {
        self.alone().next().unwrap()
    }

    /// Lines that stand alone, so that they can be copied.
    fn alone(&self) -> impl Iterator<Item = &str> {
        self.prompt.lines().filter_map(|line| line.strip_prefix("  "))
    }

    /// Its document, once it has ended with this code.
    #[track_caller]
    fn ended_with(mut self, code: i32) -> Value {
        let mut rest = String::new();
        let mut output = Vec::new();
        self.program.stdout.take().unwrap().read_to_end(&mut output).unwrap();
        self.reported.read_to_string(&mut rest).unwrap();
        let status = self.program.wait().unwrap();
        let said = CommandOutput::of(Output { status, stdout: output, stderr: rest.into_bytes() }).ended_with(code);
        if said.stdout.is_empty() { Value::Null } else { said.json()["checks"].take() }
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

/// Each denial has its reason and a next step.
#[test]
fn a_sign_in_reports_whether_oauth2_proxy_admits_the_user_and_why_not() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    sandbox.install(&["--skip-verify"]).ended_with(0);
    for (who, id, verdict, detail, hint) in [
        (
            "member@acme.example",
            "login-admitted",
            "pass",
            "you are in monitoring-admins, which oauth2-proxy admits",
            "",
        ),
        (
            "outsider@acme.example",
            "login-admitted",
            "fail",
            "you are in staff; allowed are infra-admins, monitoring-admins",
            "auth0.allowedGroups",
        ),
        (
            "unclaimed@acme.example",
            "login-groups",
            "fail",
            "there is no claim https://acme.example/groups",
            "api.idToken.setCustomClaim(\"https://acme.example/groups\", event.authorization?.roles ?? []);",
        ),
        ("unverified@acme.example", "login-email", "fail", "is not verified", "Send Verification Email"),
    ] {
        let walk = Walk::begin(&sandbox, &["--login", "--login-port", &free_port()]);
        let page = Browser::new(&sandbox).open_as(who, walk.address());
        let is_admitted = verdict == "pass";
        let title = if is_admitted { "oauth2-proxy would admit you" } else { "oauth2-proxy would not admit you" };
        assert!(page.status == 200 && page.body.contains(title), "{who}: {page:?}");
        let checks = walk.ended_with(if is_admitted { 0 } else { 6 });
        let reported = check(&checks, id);
        assert!(
            reported["verdict"] == verdict && reported["detail"].as_str().unwrap().contains(detail),
            "{who}: {reported:#}"
        );
        assert!(reported["hint"].as_str().unwrap_or_default().contains(hint), "{who}: {reported:#}");
        let failed = checks.as_array().unwrap().iter().filter(|check| check["verdict"] == "fail").count();
        assert_eq!(failed, usize::from(!is_admitted), "{who}: {checks:#}");
    }
    a_code_typed_on_another_device_reports_the_same(&sandbox);
    a_secret_that_the_issuer_refuses_is_named(&sandbox);
    only_the_browser_that_was_sent_there_counts_and_nothing_of_it_is_kept(&sandbox);
    an_interruption_ends_the_wait(&sandbox);
    a_port_that_is_taken_is_reported_before_anything_else(&sandbox);
}

fn a_code_typed_on_another_device_reports_the_same(sandbox: &Sandbox) {
    for (action, code, id, detail) in [
        ("confirm", 0, "login-admitted", "you are in infra-admins, which oauth2-proxy admits"),
        ("deny", 6, "login-token", "the sign-in was denied"),
    ] {
        let walk = Walk::begin(sandbox, &["--login=device"]);
        let user_code = walk.alone().nth(1).unwrap();
        let form =
            [("user_code", user_code), ("username", "admin@acme.example"), ("password", "x"), ("action", action)];
        let page = Browser::new(sandbox).open(walk.address(), &form);
        assert_eq!(page.status, 200, "{page:?}");
        let checks = walk.ended_with(code);
        assert!(check(&checks, id)["detail"].as_str().unwrap().contains(detail), "{checks:#}");
    }
}

fn a_secret_that_the_issuer_refuses_is_named(sandbox: &Sandbox) {
    sandbox.fault("issuer=secret-wrong", "on");
    let walk = Walk::begin(sandbox, &["--login", "--login-port", &free_port()]);
    Browser::new(sandbox).open_as("member@acme.example", walk.address());
    let checks = walk.ended_with(6);
    let token = check(&checks, "login-token");
    assert!(token["detail"].as_str().unwrap().contains("does not accept the client secret"), "{token:#}");
    assert_eq!(token["hop"], "oauth2-proxy-issuer");
    sandbox.fault("issuer", "off");
}

fn only_the_browser_that_was_sent_there_counts_and_nothing_of_it_is_kept(sandbox: &Sandbox) {
    let (port, written) = (free_port(), ["log", "junit", "html"].map(|name| sandbox.file(&format!("walk.{name}"))));
    let [log, junit, html] = written.each_ref().map(|path| path.to_str().unwrap());
    let files = ["--log-file", log, "--junit", junit, "--html", html];
    let walk = Walk::begin(sandbox, &[&["--login", "--login-port", &port], files.as_slice()].concat());
    let browser = Browser::new(sandbox);
    let forged = browser.open(&format!("http://127.0.0.1:{port}/callback?state=guessed&code=stolen"), &[]);
    assert!(forged.status == 400 && forged.body.contains("does not belong to the current sign-in"), "{forged:?}");
    let page = browser.open_as("member@acme.example", walk.address());
    let code = page.url.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap().to_owned();
    let mut said = walk.ended_with(0).to_string();
    for path in written {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("login-admitted") || text.contains("which oauth2-proxy admits"), "{}", path.display());
        said += &text;
    }
    // Every JSON Web Token begins so.
    for secret in ["eyJ", code.as_str(), sandbox.variable("AUTH0_CLIENT_SECRET")] {
        assert!(!said.contains(secret), "{secret} was written down");
    }
}

fn an_interruption_ends_the_wait(sandbox: &Sandbox) {
    let walk = Walk::begin(sandbox, &["--login", "--login-port", &free_port()]);
    signal(walk.program.id(), Signal::SIGTERM);
    walk.ended_with(130);
}

fn a_port_that_is_taken_is_reported_before_anything_else(sandbox: &Sandbox) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = sandbox.tailwatch(&["verify", "--login", "--login-port", &port]).ended_with(2);
    assert!(said.stdout.is_empty() && said.stderr.contains("--login-port"), "{}", said.stderr);
}
