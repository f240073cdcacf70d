//! The page that the browser shows at the end: self-contained, one sentence.

use crate::event::{CheckResult, Verdict};

/// What was found, as HTML.
pub(super) fn of(checks: &[CheckResult]) -> String {
    let failed = checks.iter().find(|check| check.verdict == Verdict::Fail);
    let reported = failed.or(checks.last());
    let sentence = reported.map_or_else(String::new, |check| escaped(&check.detail));
    let verdict = if failed.is_some() { "You would not be let in" } else { "You would be let in" };
    html(verdict, &sentence)
}

/// For a call that is not the end of this sign-in.
pub(super) fn unmanaged_release() -> String {
    html("This is not the sign-in that tailwatch began", "Open the address again that tailwatch printed.")
}

fn html(title: &str, sentence: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>tailwatch</title>\n\
         <style>body {{ font: 1.1rem/1.5 sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }}</style>\n\
         <h1>{title}</h1>\n<p>{sentence}</p>\n<p>You can close this window; tailwatch tells the rest.</p>\n</html>\n"
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
            statement: "the person is in an allowed group".into(),
            verdict,
            detail: detail.into(),
            hint: None,
            docs: None,
            seconds: 0.0,
        }
    }

    #[test]
    fn the_first_failure_is_reported_and_what_the_issuer_wrote_is_no_markup() {
        let page = of(&[check(Verdict::Fail, "<script>&"), check(Verdict::Skip, "not tested")]);
        assert!(page.contains("You would not be let in") && page.contains("&lt;script&gt;&amp;"), "{page}");
        let page = of(&[check(Verdict::Pass, "issuer"), check(Verdict::Pass, "you would be let in as staff")]);
        assert!(page.contains("<h1>You would be let in</h1>") && page.contains("as staff"), "{page}");
    }
}
