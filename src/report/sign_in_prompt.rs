//! Where to sign in. Shown whatever else is silent: the command waits for it.

use crate::event::SignIn;
use crate::report::style::{Style, Tone};
use crate::report::wrap::{one_line, wrap};
use crate::report::{width, write_stderr};

/// Tells a person where to sign in. An address stands on a line of its own, unbroken, so that it can be copied.
pub fn invitation(sign_in: &SignIn, style: &Style) {
    write_stderr(&text(sign_in, style, width()));
}

fn text(sign_in: &SignIn, style: &Style, width: usize) -> String {
    let sentence = |text: &str| wrap(text, "", width) + "\n";
    let alone = |text: &str| format!("  {}\n", style.paint(Tone::Strong, &one_line(text)));
    match sign_in {
        SignIn::Browser { address, callback } => {
            sentence("\nSign in with the browser of this machine, within 5 minutes:")
                + &alone(address)
                + &sentence(&format!(
                    "Where Auth0 answers `Callback URL mismatch`, add {callback} to the Allowed Callback URLs of the \
                     application. Ctrl-C ends the wait."
                ))
        }
        SignIn::Device { address, code } => {
            sentence("\nSign in on any machine, within 5 minutes, at")
                + &alone(address)
                + &sentence("with the code")
                + &alone(code)
                + &sentence("Ctrl-C ends the wait.")
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::report::sign_in_prompt::*;

    #[test]
    fn an_address_is_not_torn_apart_and_moves_no_cursor() {
        let address = format!("https://acme.eu.auth0.com/authorize?state={}", "x".repeat(120));
        let sign_in = SignIn::Browser { address: address.clone(), callback: "http://127.0.0.1:4181/callback".into() };
        let shown = text(&sign_in, &Style { color: false, quiet: false }, 60);
        assert!(shown.lines().any(|line| line.trim() == address), "{shown}");
        assert!(shown.contains("http://127.0.0.1:4181/callback"), "{shown}");
        let sign_in = SignIn::Device { address: "https://a.example/\u{1b}[2J".into(), code: "AB\nCD".into() };
        let shown = text(&sign_in, &Style { color: false, quiet: false }, 60);
        assert!(shown.lines().any(|line| line == "  AB CD") && !shown.contains('\u{1b}'), "{shown:?}");
    }
}
