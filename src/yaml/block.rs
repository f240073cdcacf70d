//! Readable YAML that every parser reads as the same value, of YAML 1.1 as of 1.2: serde's YAML leaves texts such as `on`,
//! `1_000` and `<<` unquoted, which Go's parsers read as a boolean, a number and a merge key.

use serde_json::Value;

use crate::yaml::json_line;

/// Words that YAML 1.1 does not read as text (yaml.org/type).
const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// A document in block style; texts of several lines are literal blocks.
pub fn block(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text.trim_start().to_owned()
}

/// What follows a key or a dash: a scalar in its line, or a collection below it.
fn write(value: &Value, level: usize, text: &mut String) {
    let indent = "  ".repeat(level);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, child) in map {
                let key = if is_plain(key) { key.clone() } else { json_line(&Value::from(key.as_str())) };
                *text += &format!("\n{indent}{key}:");
                write(child, level + 1, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut below = String::new();
                write(item, level + 1, &mut below);
                // The first key of an item is in the line of its dash.
                let below = if item.is_object() { format!(" {}", below.trim_start()) } else { below };
                *text += &format!("\n{indent}-{}", below.trim_end_matches('\n'));
            }
        }
        Value::String(string) if is_literal(string) => {
            let chomping = if string.ends_with('\n') { "" } else { "-" };
            let lines =
                string.lines().map(|line| if line.is_empty() { "\n".into() } else { format!("\n{indent}{line}") });
            *text += &format!(" |{chomping}{}", lines.collect::<String>());
        }
        Value::String(string) if is_plain(string) => *text += &format!(" {string}"),
        scalar => *text += &format!(" {}", json_line(scalar)),
    }
    if level == 0 {
        text.push('\n');
    }
}

/// Whether a text needs no quotes, whatever is before and after it.
fn is_plain(text: &str) -> bool {
    let is_safe = |character: char| character.is_ascii_alphanumeric() || " _-./@()+=<>".contains(character);
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && !text.ends_with(' ')
        && text
            .chars()
            .enumerate()
            .all(|(at, character)| is_safe(character) || is_colon_of_address(text, at, character))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// Whether a colon is inside of a text without a space after it.
fn is_colon_of_address(text: &str, at: usize, character: char) -> bool {
    character == ':' && text[at + 1..].starts_with(|next: char| next.is_ascii_alphanumeric() || next == '/')
}

/// Whether a text is readable as a literal block, which has no escapes.
fn is_literal(text: &str) -> bool {
    let is_fine = |line: &str| !line.ends_with(' ') && line.chars().all(|character| matches!(character, ' '..='~'));
    let last = text.strip_suffix('\n').unwrap_or(text);
    last.contains('\n') && !last.ends_with('\n') && !last.starts_with(['\n', ' ']) && last.split('\n').all(is_fine)
}
