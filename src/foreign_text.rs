//! Text of others (logs, messages of the API server and of helm, names of objects) in the output: it must not control the
//! terminal, reorder what a person reads, or command a CI runner. Every write passes through [`printable`] or
//! [`printable_json`].

use std::borrow::Cow;
use std::sync::LazyLock;

use console::AnsiCodeIterator;

/// Numbers in the escapes of [`styled`]; text of others cannot have them. A number of an escape has at most four digits
/// (console, ansi.rs).
static KEY: LazyLock<String> =
    LazyLock::new(|| (0..4).map(|_| format!("{:04};", rand::random_range(0..10_000_u16))).collect());

/// Text in a style that [`printable`] keeps; `codes`: the parameters of SGR (ECMA-48, section 8.3.117).
pub fn styled(text: &str, codes: &str) -> String {
    format!("\x1b[{key}{codes}m{text}\x1b[{key}0m", key = *KEY)
}

/// Without control characters and escapes but those of [`styled`]; line breaks and tabs stay. Invisible characters are
/// shown by number, and commands of CI runners are broken.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (part, is_escape) in AnsiCodeIterator::new(text) {
        match is_escape {
            true => {
                if let Some(codes) = part.strip_prefix("\x1b[").and_then(|rest| rest.strip_prefix(KEY.as_str())) {
                    shown += "\x1b[";
                    shown += codes;
                }
            }
            false => part
                .chars()
                .filter(|c| matches!(c, '\n' | '\t') || !c.is_control())
                .for_each(|c| push_visible(c, &mut shown)),
        }
    }
    if !shown.contains("::") && !shown.contains("##") {
        return shown;
    }
    shown.split_inclusive('\n').map(without_command).collect()
}

/// Writes these characters of a JSON document as `\uXXXX`; the values of its strings do not change.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    let is_special = |c: char| is_invisible(c) || ('\u{7f}'..='\u{9f}').contains(&c);
    if !json.contains(is_special) && !json.contains("##") {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if is_special(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| shown += &format!("\\u{unit:04x}"));
        } else {
            shown.push(c);
        }
    }
    MARKERS.iter().fold(shown, |shown, marker| shown.replace(marker, &format!("\\u0023{}", &marker[1..]))).into()
}

/// A workflow command of GitHub Actions, a line of its own (actions/toolkit, packages/core/src/command.ts). Its title, which
/// may be empty, and its message can have text of others.
pub fn workflow_command(name: &str, title: &str, message: &str) -> String {
    let data = |text: &str| printable(text).replace('%', "%25").replace('\n', "%0A");
    let title = match title {
        "" => String::new(),
        title => format!(" title={}", data(title).replace(':', "%3A").replace(',', "%2C")),
    };
    format!("::{name}{title}::{}\n", data(message))
}

/// A character, or its number if it is invisible.
pub(crate) fn push_visible(c: char, shown: &mut String) {
    match is_invisible(c) {
        true => *shown += &format!("<U+{:04X}>", u32::from(c)),
        false => shown.push(c),
    }
}

/// Bidirectional controls, zero-width and tag characters, and line separators (Unicode 16, Default_Ignorable_Code_Point).
/// The joiners of emoji and of Arabic and Indic scripts are among them: names and messages of clusters need none.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether it only sets a colour, bold or dim, or resets.
#[cfg(test)]
fn is_colour(escape: &str) -> bool {
    let numbers = escape.strip_prefix("\x1b[").and_then(|rest| rest.strip_suffix('m'));
    numbers.is_some_and(|numbers| {
        numbers.split(';').all(|number| matches!(number, "" | "0" | "1" | "2" | "31" | "32" | "33"))
    })
}

/// Where these are in a line, the runners of GitHub and Azure read a command (actions/runner, ActionCommand.cs).
const MARKERS: [&str; 2] = ["##[", "##vso["];

/// A line that no CI runner takes for a command; GitHub trims the line before it looks for `::name …::`.
fn without_command(line: &str) -> Cow<'_, str> {
    let start = line.len() - line.trim_start().len();
    let is_command = line[start..].strip_prefix("::").is_some_and(|rest| rest.contains("::"));
    if !is_command && !MARKERS.iter().any(|marker| line.contains(marker)) {
        return Cow::Borrowed(line);
    }
    let mut line = line.to_owned();
    if is_command {
        line.insert(start + 1, ' ');
    }
    MARKERS.iter().fold(line, |line, marker| line.replace(marker, &format!("# {}", &marker[1..]))).into()
}

/// What a neighbour in the cluster or a repository may answer.
#[cfg(test)]
pub(crate) const HOSTILE: &str = "ok\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}]52;c;cm0gLXJm\u{7}\u{1b}[8mhidden\u{1b}[31mred\u{1b}[0m\u{9b}2J\u{0}\u{8}\r\n\
    ::stop-commands::x\n  ::add-mask::y\n##[error]z and ##vso[task.setvariable]w\n\u{202e}cba\u{2066}\u{200b}\u{2028}\u{feff}\u{e0041}end";

/// Fails if the text could control a terminal, mislead a reader or command a runner.
#[cfg(test)]
#[track_caller]
pub(crate) fn assert_harmless(shown: &str) {
    for (part, is_escape) in AnsiCodeIterator::new(shown) {
        assert!(!is_escape || is_colour(part), "{part:?} in {shown:?}");
        let found =
            part.chars().find(|c| !is_escape && c.is_control() && !matches!(c, '\n' | '\t') || is_invisible(*c));
        assert_eq!(found, None, "{shown:?}");
    }
    for line in shown.lines() {
        let command = line.trim_start().strip_prefix("::").is_some_and(|rest| rest.contains("::"));
        assert!(!command && !line.contains("##[") && !line.contains("##vso["), "{line:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_harmless_and_can_be_read() {
        let shown = printable(HOSTILE);
        assert_harmless(&shown);
        for part in
            ["ok", "hidden", ": :stop-commands::x", "# #[error]z", "<U+202E>cba<U+2066><U+200B>", "<U+E0041>end"]
        {
            assert!(shown.contains(part), "{part} is not in {shown:?}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        let own = "\ta\n  ::1 is the address, ü 日本 🦀\n";
        assert_eq!(printable(own), own);
    }

    #[test]
    fn text_of_others_stays_within_its_workflow_command() {
        assert_eq!(workflow_command("group", "", "wave 30: loki"), "::group::wave 30: loki\n");
        let escaped = "::error title=a%3Ab%2Cc::100%25%0A: :error::x\n";
        assert_eq!(workflow_command("error", "a:b,c", "100%\r\n::error::x"), escaped);
        let command = workflow_command("error", HOSTILE, HOSTILE);
        let (line, rest) = command.split_once('\n').unwrap();
        assert_eq!(rest, "");
        assert_harmless(line.trim_start_matches(':'));
    }

    #[test]
    fn only_own_styles_are_shown() {
        let text = styled("error: \u{1b}[32minstalled\u{1b}[0m", "31;1") + " \u{1b}[1m\u{1b}[1;31mbad";
        assert_eq!(printable(&text), "\u{1b}[31;1merror: installed\u{1b}[0m bad");
        assert_eq!(console::strip_ansi_codes(&styled("error:", "1")), "error:");
    }

    #[test]
    fn json_keeps_its_values() {
        let json = serde_json::to_string(HOSTILE).unwrap();
        let shown = printable_json(&json);
        assert_harmless(&shown);
        assert!(shown.is_ascii());
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), HOSTILE);
        assert!(matches!(printable_json("{\"a\": \"::1\"}"), Cow::Borrowed(_)));
    }
}
