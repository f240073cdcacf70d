//! Signing in, through the tailnet's proxy, the real oauth2-proxy and a real OpenID provider.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Output, Stdio};

use serde_json::Value;
use support::{CommandOutput, Sandbox, Signal, check, signal};

use crate::TAILWATCH;
use crate::browser::{Browser, Page};

const GRAFANA: &str = "https://grafana.tail1a2b.ts.net/";

/// A `tailwatch verify --login` that waits for the user.
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
        // The address, and the code that a device asks for.
        let wanted = if login == ["--login=device"] { 2 } else { 1 };
        while alone(&prompt).count() < wanted {
            let read = reported.read_line(&mut prompt).unwrap();
            assert!(read > 0, "it ended without a prompt:\n{prompt}");
        }
        Walk { program, reported, prompt }
    }

    /// Where to sign in.
    fn address(&self) -> &str {
        alone(&self.prompt).next().unwrap()
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

/// Lines that stand alone, so that they can be copied.
fn alone(prompt: &str) -> impl Iterator<Item = &str> {
    prompt.lines().filter_map(|line| line.strip_prefix("  "))
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
    the_oauth2_proxy_lets_in_the_groups_that_were_asked_for_and_no_one_else(&sandbox);
    let mut titles = String::new();
    for (who, id, verdict, detail, hint) in [
        ("member@acme.example", "login-admitted", "pass", "monitoring-admins", ""),
        ("outsider@acme.example", "login-admitted", "fail", "infra-admins, monitoring-admins", "auth0.allowedGroups"),
        (
            "unclaimed@acme.example",
            "login-groups",
            "fail",
            "https://acme.example/groups",
            "api.idToken.setCustomClaim(\"https://acme.example/groups\", event.authorization?.roles ?? []);",
        ),
        ("unverified@acme.example", "login-email", "fail", "", ""),
    ] {
        let walk = Walk::begin(&sandbox, &["--login", "--login-port", &free_port()]);
        let page = Browser::new(&sandbox).open_as(who, walk.address());
        assert_eq!(page.status, 200, "{who}: {page:?}");
        titles += &format!("{who}: {}\n", title(&page));
        let is_admitted = verdict == "pass";
        let checks = walk.ended_with(if is_admitted { 0 } else { 6 });
        let reported = check(&checks, id);
        assert!(
            reported["verdict"] == verdict && reported["detail"].as_str().unwrap().contains(detail),
            "{who}: {reported:#}"
        );
        assert!(reported["hint"].as_str().unwrap_or_default().contains(hint), "{who}: {reported:#}");
        assert_eq!(reported["hint"].is_string(), !is_admitted, "{who}: {reported:#}");
        let failed = checks.as_array().unwrap().iter().filter(|check| check["verdict"] == "fail").count();
        assert_eq!(failed, usize::from(!is_admitted), "{who}: {checks:#}");
    }
    insta::assert_snapshot!(titles, @r"
    member@acme.example: oauth2-proxy would admit you
    outsider@acme.example: oauth2-proxy would not admit you
    unclaimed@acme.example: oauth2-proxy would not admit you
    unverified@acme.example: oauth2-proxy would not admit you
    ");
    a_code_typed_on_another_device_reports_the_same(&sandbox);
    a_secret_that_the_issuer_refuses_is_named(&sandbox);
    only_the_browser_that_was_sent_there_counts_and_nothing_of_it_is_kept(&sandbox);
    an_interruption_ends_the_wait(&sandbox);
    a_port_that_is_taken_is_reported_before_anything_else(&sandbox);
}

fn the_oauth2_proxy_lets_in_the_groups_that_were_asked_for_and_no_one_else(sandbox: &Sandbox) {
    for (who, status, shown) in [
        ("member@acme.example", 200, "Grafana"),
        ("admin@acme.example", 200, "Grafana"),
        ("outsider@acme.example", 403, "Forbidden"),
        ("unclaimed@acme.example", 403, "Forbidden"),
        ("unverified@acme.example", 500, "Internal Server Error"),
    ] {
        let browser = Browser::new(sandbox);
        let page = browser.open_as(who, GRAFANA);
        assert!(page.status == status && page.body.contains(shown), "{who}: {page:?}");
        // Who is in stays in, and who is not is asked again.
        let again = browser.open(GRAFANA, &[]);
        assert_eq!(again.status, status, "{who}: {again:?}");
    }
}

/// What the page says at its top.
fn title(page: &Page) -> &str {
    let title = page.body.split_once("<h1>").and_then(|(_, rest)| rest.split_once("</h1>"));
    title.unwrap_or_else(|| panic!("no title: {page:?}")).0
}

fn a_code_typed_on_another_device_reports_the_same(sandbox: &Sandbox) {
    for (action, code, id, detail) in [("confirm", 0, "login-admitted", "infra-admins"), ("deny", 6, "login-token", "")]
    {
        let walk = Walk::begin(sandbox, &["--login=device"]);
        let user_code = alone(&walk.prompt).nth(1).unwrap();
        let form =
            [("user_code", user_code), ("username", "admin@acme.example"), ("password", "x"), ("action", action)];
        let page = Browser::new(sandbox).open(walk.address(), &form);
        assert_eq!(page.status, 200, "{page:?}");
        let checks = walk.ended_with(code);
        let reported = check(&checks, id);
        assert_eq!(reported["verdict"], if code == 0 { "pass" } else { "fail" }, "{checks:#}");
        assert!(reported["detail"].as_str().unwrap().contains(detail), "{checks:#}");
    }
}

fn a_secret_that_the_issuer_refuses_is_named(sandbox: &Sandbox) {
    sandbox.fault("issuer=secret-wrong", "on");
    let walk = Walk::begin(sandbox, &["--login", "--login-port", &free_port()]);
    Browser::new(sandbox).open_as("member@acme.example", walk.address());
    let checks = walk.ended_with(6);
    let token = check(&checks, "login-token");
    assert_eq!((&token["verdict"], &token["hop"]), (&"fail".into(), &"oauth2-proxy-issuer".into()), "{token:#}");
    sandbox.fault("issuer", "off");
}

fn only_the_browser_that_was_sent_there_counts_and_nothing_of_it_is_kept(sandbox: &Sandbox) {
    let (port, written) = (free_port(), ["log", "junit", "html"].map(|name| sandbox.file(&format!("walk.{name}"))));
    let [log, junit, html] = written.each_ref().map(|path| path.to_str().unwrap());
    let files = ["--log-file", log, "--junit", junit, "--html", html];
    let walk = Walk::begin(sandbox, &[&["--login", "--login-port", &port], files.as_slice()].concat());
    let browser = Browser::new(sandbox);
    let forged = browser.open(&format!("http://127.0.0.1:{port}/callback?state=guessed&code=stolen"), &[]);
    assert_eq!(forged.status, 400, "{forged:?}");
    let page = browser.open_as("member@acme.example", walk.address());
    let code = page.url.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap().to_owned();
    let mut said = walk.ended_with(0).to_string();
    for path in written {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("login-admitted") || text.contains("monitoring-admins"), "{}", path.display());
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
