//! The terminal's settings at the start. A signal can end a prompt with a hidden cursor and a terminal in raw mode.

use std::io::{IsTerminal as _, stderr, stdin};
use std::sync::{Mutex, PoisonError};

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

use crate::terminal::is_sequential;

/// Restores the terminal's settings when dropped; does nothing without a terminal.
#[derive(Debug)]
pub struct SavedTerminal {
    settings: Mutex<Option<Termios>>,
}

impl SavedTerminal {
    /// Saves the terminal's settings.
    pub fn save() -> SavedTerminal {
        let is_terminal = stdin().is_terminal() && stderr().is_terminal();
        SavedTerminal { settings: Mutex::new(is_terminal.then(|| tcgetattr(stdin()).ok()).flatten()) }
    }
}

impl SavedTerminal {
    /// Restores them now.
    pub fn restore(&self) {
        if let Some(settings) = &*self.settings.lock().unwrap_or_else(PoisonError::into_inner) {
            // A closed terminal needs no restore.
            let _ = tcsetattr(stdin(), SetArg::TCSANOW, settings);
            if !is_sequential() {
                let _ = console::Term::stderr().show_cursor();
            }
        }
    }
}

impl Drop for SavedTerminal {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Whether this process may read its terminal: reading stops a background job (termios(3), job control).
pub fn is_in_foreground() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
}
