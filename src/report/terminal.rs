//! The terminal as it was found. A signal can end a prompt while the cursor is hidden and the line is read raw.

use std::io::{IsTerminal as _, stderr, stdin};

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

/// Brings the terminal back to what it was when this is dropped; does nothing where there is none.
pub struct SavedTerminal {
    settings: Option<Termios>,
}

impl SavedTerminal {
    /// Remembers the terminal's settings.
    pub fn remember() -> SavedTerminal {
        let is_terminal = stdin().is_terminal() && stderr().is_terminal();
        SavedTerminal { settings: is_terminal.then(|| tcgetattr(stdin()).ok()).flatten() }
    }
}

impl Drop for SavedTerminal {
    fn drop(&mut self) {
        if let Some(settings) = &self.settings {
            // A terminal that went away needs nothing.
            let _ = tcsetattr(stdin(), SetArg::TCSANOW, settings);
            let _ = console::Term::stderr().show_cursor();
        }
    }
}
