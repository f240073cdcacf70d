//! A browser without a window: curl with a cookie jar, one request at a time, redirects followed by hand.

use std::process::Command;

use support::Sandbox;
use tempfile::TempDir;

/// Hops that a sign-in may take; more is a loop.
const MOST_HOPS: usize = 12;

/// Someone's browser on a machine of the sandbox's tailnet.
pub struct Browser<'a> {
    sandbox: &'a Sandbox,
    folder: TempDir,
}

/// An answer that leads nowhere else.
#[derive(Debug)]
pub struct Page {
    pub url: String,
    pub status: u16,
    pub body: String,
}

impl Page {
    fn shows_a_form(&self) -> bool {
        self.body.contains("name=\"password\"")
    }
}

impl Browser<'_> {
    pub fn new(sandbox: &Sandbox) -> Browser<'_> {
        Browser { sandbox, folder: tempfile::tempdir().unwrap() }
    }

    /// Opens a page as a person would: redirects are followed, and a login form is filled in once.
    #[track_caller]
    pub fn open_as(&self, email: &str, url: &str) -> Page {
        self.try_open_as(email, url).unwrap_or_else(|page| panic!("no login form: {page:?}"))
    }

    /// As `open_as`; the page is the error where the first page is not a login form.
    #[track_caller]
    pub fn try_open_as(&self, email: &str, url: &str) -> Result<Page, Page> {
        let page = self.open(url, &[]);
        if page.shows_a_form() {
            Ok(self.open(&page.url, &[("username", email), ("password", "any")]))
        } else {
            Err(page)
        }
    }

    /// Opens a page, with the fields of a form where there are some.
    #[track_caller]
    pub fn open(&self, url: &str, form: &[(&str, &str)]) -> Page {
        let (mut page, mut next) = self.ask(url, form);
        for _ in 0..MOST_HOPS {
            let Some(target) = next else { return page };
            (page, next) = self.ask(&target, &[]);
        }
        panic!("{url} leads from one address to the next without an end, at last to {}", page.url);
    }

    /// One request: the answer, and where it leads.
    #[track_caller]
    fn ask(&self, url: &str, form: &[(&str, &str)]) -> (Page, Option<String>) {
        let (jar, body) = (self.folder.path().join("jar"), self.folder.path().join("body"));
        let mut command: Command = self.sandbox.command("curl".as_ref());
        command.args(["--silent", "--show-error", "--max-time", "20", "--write-out", "%{http_code} %{redirect_url}"]);
        command.arg("--cookie").arg(&jar).arg("--cookie-jar").arg(&jar).arg("--output").arg(&body);
        for (name, value) in form {
            command.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        let output = command.arg(url).output().expect("curl runs");
        assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        let (status, next) = said.split_once(' ').unwrap();
        let body = String::from_utf8_lossy(&std::fs::read(&body).unwrap_or_default()).into_owned();
        let page = Page { url: url.to_owned(), status: status.parse().unwrap(), body };
        (page, Some(next).filter(|next| !next.is_empty()).map(str::to_owned))
    }
}
