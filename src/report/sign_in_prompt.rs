//! The prompt to sign in. Also shown with `--quiet`: the command waits for the user.

use crate::event::SignIn;
use crate::report::style::{Style, Tone};
use crate::report::wrap::{one_line, wrap};

/// Shows where to sign in. Addresses are on their own lines, unwrapped, for copying.
pub fn sign_in_prompt(sign_in: &SignIn, style: &Style, width: usize) -> String {
    let sentence = |text: &str| wrap(text, "", width) + "\n";
    let alone = |text: &str| format!("  {}\n", style.paint(Tone::Strong, &one_line(text)));
    match sign_in {
        SignIn::Browser { address, callback } => {
            sentence("\nWithin 5 minutes, open this address in a browser on this machine and sign in:")
                + &alone(address)
                + &sentence(&format!(
                    "If Auth0 answers `Callback URL mismatch`, add {callback} to the Allowed Callback URLs of the \
                     application. Ctrl-C cancels."
                ))
        }
        SignIn::Device { address, code } => {
            sentence("\nWithin 5 minutes, open this address on any machine and sign in:")
                + &alone(address)
                + &sentence("Enter this code:")
                + &alone(code)
                + &sentence("Ctrl-C cancels.")
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::report::sign_in_prompt::*;

    #[test]
    fn an_address_is_not_wrapped_and_has_no_escapes() {
        let address = format!("https://acme.eu.auth0.com/authorize?state={}", "x".repeat(120));
        let sign_in = SignIn::Browser { address: address.clone(), callback: "http://127.0.0.1:4181/callback".into() };
        let shown = sign_in_prompt(&sign_in, &Style { color: false }, 60);
        assert!(shown.lines().any(|line| line.trim() == address), "{shown}");
        assert!(shown.contains("http://127.0.0.1:4181/callback"), "{shown}");
        let sign_in = SignIn::Device { address: "https://a.example/\u{1b}[2J".into(), code: "AB\nCD".into() };
        let shown = sign_in_prompt(&sign_in, &Style { color: false }, 60);
        assert!(shown.lines().any(|line| line == "  AB CD") && !shown.contains('\u{1b}'), "{shown:?}");
    }
}
