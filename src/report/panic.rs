//! A bug is told like any other error: in one line, without a backtrace in a person's face.

use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};

use crate::report::write_stderr;

static LAST: Mutex<Option<String>> = Mutex::new(None);

/// From here on a panic is kept for [`last_panic`]; one that ends no command is reported at once. RUST_BACKTRACE asks for
/// everything.
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

/// What the last panic said.
pub fn last_panic() -> String {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_else(|| "unknown".into())
}

fn text(info: &PanicHookInfo<'_>) -> String {
    let said = info.payload().downcast_ref::<&str>().copied();
    let said = said.or_else(|| info.payload().downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic");
    let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
    format!("{said}{place}")
}
