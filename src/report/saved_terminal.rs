//! The terminal as it was found. A signal can end a prompt while the cursor is hidden and the line is read raw.

use std::io::{IsTerminal as _, stderr, stdin};
use std::sync::{Mutex, PoisonError};

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

/// Brings the terminal back to what it was when this is dropped; does nothing where there is none.
#[derive(Debug)]
pub struct SavedTerminal {
    settings: Mutex<Option<Termios>>,
}

impl SavedTerminal {
    /// Remembers the terminal's settings.
    pub fn remember() -> SavedTerminal {
        let is_terminal = stdin().is_terminal() && stderr().is_terminal();
        SavedTerminal { settings: Mutex::new(is_terminal.then(|| tcgetattr(stdin()).ok()).flatten()) }
    }
}

impl SavedTerminal {
    /// Brings it back now.
    pub fn restore(&self) {
        if let Some(settings) = &*self.settings.lock().unwrap_or_else(PoisonError::into_inner) {
            // A terminal that went away needs nothing.
            let _ = tcsetattr(stdin(), SetArg::TCSANOW, settings);
            let _ = console::Term::stderr().show_cursor();
        }
    }
}

impl Drop for SavedTerminal {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Whether this process may read its terminal: a background job would be stopped by trying (termios(3), job control).
pub fn is_in_foreground() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
}
