//! A panic is reported like any other error: one line, no backtrace.

use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};

use crate::report::output::write_stderr;

static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Keeps each panic for [`last_panic`]; one outside of the main thread is reported at once. RUST_BACKTRACE restores the
/// default output.
pub fn keep_panics() {
    let all = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            all(info);
        }
        let text = text(info);
        if std::thread::current().name() != Some("main") {
            write_stderr(&format!("error: internal error: {text}\n"));
        }
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }));
}

/// Message of the last panic.
pub fn last_panic() -> String {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_else(|| "unknown".into())
}

fn text(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload().downcast_ref::<&str>().copied();
    let message = message.or_else(|| info.payload().downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic");
    let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
    format!("{message}{place}")
}
