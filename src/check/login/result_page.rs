//! The browser's last page: self-contained, one sentence.

use crate::event::{CheckResult, Verdict};

/// The first failed check, or the last one, as HTML.
pub(super) fn of(checks: &[CheckResult]) -> String {
    let failed = checks.iter().find(|check| check.verdict == Verdict::Fail);
    let reported = failed.or(checks.last());
    let sentence = reported.map_or_else(String::new, |check| escaped(&check.detail));
    let verdict = if failed.is_some() { "oauth2-proxy would not admit you" } else { "oauth2-proxy would admit you" };
    html(verdict, &sentence)
}

/// The page for a callback without the state of this sign-in.
pub(super) fn wrong_state() -> String {
    html("This callback does not belong to the current sign-in", "Reopen the address that tailwatch printed.")
}

fn html(title: &str, sentence: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>tailwatch</title>\n\
         <style>body {{ font: 1.1rem/1.5 sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }}</style>\n\
         <h1>{title}</h1>\n<p>{sentence}</p>\n<p>You can close this window; tailwatch shows the details.</p>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: Verdict, detail: &str) -> CheckResult {
        CheckResult {
            id: "login-admitted".into(),
            group: "sign-in".into(),
            hop: None,
            statement: "the user is in an allowed group".into(),
            verdict,
            detail: detail.into(),
            hint: None,
            docs: None,
            seconds: 0.0,
        }
    }

    #[test]
    fn the_first_failure_is_reported_and_the_issuers_text_is_escaped() {
        let page = of(&[check(Verdict::Fail, "<script>&"), check(Verdict::Skip, "not tested")]);
        assert!(page.contains("oauth2-proxy would not admit you") && page.contains("&lt;script&gt;&amp;"), "{page}");
        let page = of(&[check(Verdict::Pass, "issuer"), check(Verdict::Pass, "you are in staff")]);
        assert!(page.contains("<h1>oauth2-proxy would admit you</h1>") && page.contains("in staff"), "{page}");
    }
}
