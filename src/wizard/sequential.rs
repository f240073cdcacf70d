//! Prompts line by line: an option is chosen by its number, and nothing moves the cursor.

use std::io;

use console::Term;

use crate::foreign_text::printable;
use crate::wizard::WizardError;
use crate::wizard::prompt::{Reply, Validate};

/// Lines of a terminal.
pub(super) trait Lines {
    fn write(&mut self, text: &str) -> io::Result<()>;
    fn read(&mut self) -> io::Result<String>;
    /// Without echo.
    fn read_secret(&mut self) -> io::Result<String>;
}

impl Lines for Term {
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.write_str(&printable(text))
    }

    fn read(&mut self) -> io::Result<String> {
        self.read_line()
    }

    fn read_secret(&mut self) -> io::Result<String> {
        self.read_secure_line()
    }
}

/// A line of text; an invalid one is rejected with the reason and prompted again.
pub(super) fn text(
    lines: &mut dyn Lines,
    label: &str,
    default: Option<&str>,
    validate: Validate<'_>,
) -> Result<Reply, WizardError> {
    let shown = default.map(|default| format!(" [{default}]")).unwrap_or_default();
    loop {
        lines.write(&format!("{label}{shown}: "))?;
        let line = lines.read()?;
        let Reply::Answer(typed) = Reply::of(&line) else { return Ok(Reply::Back) };
        let answer = if typed.is_empty() { default.unwrap_or_default().to_owned() } else { typed };
        match validate(&answer) {
            Ok(()) => return Ok(Reply::Answer(answer)),
            Err(reason) => lines.write(&format!("{reason}\n"))?,
        }
    }
}

/// A secret, without echo.
pub(super) fn secret(lines: &mut dyn Lines, label: &str) -> Result<Reply, WizardError> {
    loop {
        lines.write(&format!("{label}: "))?;
        match lines.read_secret()? {
            line if line.trim().is_empty() => lines.write("an answer is required\n")?,
            line => return Ok(Reply::of(&line)),
        }
    }
}

/// One option, by its number.
pub(super) fn choose(
    lines: &mut dyn Lines,
    label: &str,
    options: &[String],
    default: usize,
) -> Result<Reply, WizardError> {
    list(lines, options.iter().map(String::as_str))?;
    let default = (default + 1).to_string();
    let validate = |text: &str| number(text, options.len()).map(drop);
    Ok(match text(lines, label, Some(&default), &validate)? {
        Reply::Answer(text) => {
            number(&text, options.len()).map_or(Reply::Back, |at| Reply::Answer(options[at].clone()))
        }
        Reply::Back => Reply::Back,
    })
}

const NONE: &str = "none";

/// Any number of options, by their numbers; the default are those that are selected initially.
pub(super) fn choose_some(
    lines: &mut dyn Lines,
    label: &str,
    options: &[(String, bool)],
) -> Result<Option<Vec<usize>>, WizardError> {
    list(lines, options.iter().map(|(option, _)| option.as_str()))?;
    let selected = options.iter().enumerate().filter(|(_, (_, is_selected))| *is_selected);
    let selected: Vec<String> = selected.map(|(at, _)| (at + 1).to_string()).collect();
    let default = if selected.is_empty() { NONE.to_owned() } else { selected.join(",") };
    let validate = |text: &str| numbers(text, options.len()).map(drop);
    let label = format!("{label}, numbers with commas, or {NONE}");
    Ok(match text(lines, &label, Some(&default), &validate)? {
        Reply::Answer(text) => numbers(&text, options.len()).ok(),
        Reply::Back => None,
    })
}

fn list<'a>(lines: &mut dyn Lines, options: impl Iterator<Item = &'a str>) -> Result<(), WizardError> {
    let listed: String = options.zip(1..).map(|(option, number)| format!("  {number}. {option}\n")).collect();
    Ok(lines.write(&listed)?)
}

/// The index of a number from 1 to `count`.
fn number(text: &str, count: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=count).contains(number));
    number.map(|number: usize| number - 1).ok_or_else(|| format!("expected a number from 1 to {count}"))
}

fn numbers(text: &str, count: usize) -> Result<Vec<usize>, String> {
    if text == NONE {
        return Ok(Vec::new());
    }
    text.split(',').map(|text| number(text.trim(), count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written, and the lines that are typed.
    struct Typed(String, Vec<&'static str>);

    impl Lines for Typed {
        fn write(&mut self, text: &str) -> io::Result<()> {
            self.0.push_str(text);
            Ok(())
        }

        fn read(&mut self) -> io::Result<String> {
            if self.1.is_empty() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let line = self.1.remove(0).to_owned();
            self.0 += &format!("{line}\n");
            Ok(line)
        }

        fn read_secret(&mut self) -> io::Result<String> {
            let written = self.0.len();
            let line = self.read();
            self.0.truncate(written);
            line
        }
    }

    #[test]
    fn an_invalid_line_is_rejected_with_the_reason_and_prompted_again() {
        let validate = |text: &str| if text == "x" { Err("not x".to_owned()) } else { Ok(()) };
        let mut typed = Typed(String::new(), vec!["x", "", "<"]);
        assert_eq!(text(&mut typed, "Name", Some("a"), &validate).unwrap(), Reply::Answer("a".into()));
        assert_eq!(typed.0, "Name [a]: x\nnot x\nName [a]: \n");
        assert_eq!(text(&mut typed, "Name", None, &validate).unwrap(), Reply::Back);
        assert!(matches!(text(&mut typed, "Name", None, &validate), Err(WizardError::Interrupted)));
    }

    #[test]
    fn a_secret_is_not_written() {
        let mut typed = Typed(String::new(), vec!["", "s3cret", "<"]);
        assert_eq!(secret(&mut typed, "Secret").unwrap(), Reply::Answer("s3cret".into()));
        assert_eq!(typed.0, "Secret: an answer is required\nSecret: ");
        assert_eq!(secret(&mut typed, "Secret").unwrap(), Reply::Back);
    }

    #[test]
    fn an_option_is_chosen_by_its_number() {
        let options = ["one", "two"].map(str::to_owned);
        let chosen = |line| {
            let mut typed = Typed(String::new(), vec![line, "1"]);
            (choose(&mut typed, "Which", &options, 1).unwrap(), typed.0)
        };
        assert_eq!(chosen(""), (Reply::Answer("two".into()), "  1. one\n  2. two\nWhich [2]: \n".into()));
        assert_eq!(chosen("1").0, Reply::Answer("one".into()));
        assert_eq!(chosen("<").0, Reply::Back);
        for invalid in ["0", "3", "-1", "two"] {
            let (reply, shown) = chosen(invalid);
            assert_eq!(reply, Reply::Answer("one".into()));
            assert!(shown.contains("expected a number from 1 to 2"), "{shown}");
        }
    }

    #[test]
    fn several_options_are_chosen_by_their_numbers() {
        let options = [("one".to_owned(), true), ("two".to_owned(), false), ("three".to_owned(), true)];
        let chosen = |line| {
            let mut typed = Typed(String::new(), vec![line, "2"]);
            (choose_some(&mut typed, "Upgrades", &options).unwrap(), typed.0)
        };
        let (all, shown) = chosen("");
        assert_eq!(all, Some(vec![0, 2]));
        assert!(shown.ends_with("Upgrades, numbers with commas, or none [1,3]: \n"), "{shown}");
        assert_eq!(chosen("2, 3").0, Some(vec![1, 2]));
        assert_eq!(chosen("none").0, Some(Vec::new()));
        assert_eq!(chosen("<").0, None);
        assert_eq!(chosen("1,4").0, Some(vec![1]), "asked again");
    }
}
