//! YAML with positions. Stricter than YAML: one document, no anchors, aliases, merge keys or tags, no key twice,
//! no deep nesting; what the answers file needs and nothing that could surprise or explode.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::config::error::quoted;

/// Where a node begins; both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A node and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) content: Content,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A scalar as written; `plain` when it is not quoted.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A mapping's key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) at: Position,
    pub(super) text: String,
}

/// What is wrong with the text, and where.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) at: Position,
    pub(super) key: String,
    pub(super) found: String,
    pub(super) expected: String,
}

const DEEPEST: usize = 32;

/// Phrase of the parser -> what was found and what was expected, in a person's words.
const PHRASES: [(&str, &str, &str); 7] = [
    ("simple key expect", "a line without a colon, here or just above", "`key: value`"),
    ("tabs disallowed", "a tab", "spaces"),
    ("quoted scalar", "a quote that is not closed", "the closing quote"),
    ("did not find expected key", "an indentation that fits no line above", "the keys of one mapping below each other"),
    ("illegal placement of ':'", "a colon between brackets", "every [ and { closed above"),
    ("unknown anchor", "an alias", "the value itself"),
    ("recursion limit", "more than 32 levels", "at most 32 levels of nesting"),
];

fn plain_words(info: &str) -> (String, String) {
    match PHRASES.iter().find(|(phrase, ..)| info.contains(phrase)) {
        Some((_, found, expected)) => ((*found).to_owned(), (*expected).to_owned()),
        None => (format!("text that is no YAML ({info})"), "lines such as `key: value`".to_owned()),
    }
}

impl Node {
    /// `null`, `~` or nothing.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// In a person's words.
    pub(super) fn kind(&self) -> String {
        match &self.content {
            Content::Map(_) => "a mapping".into(),
            Content::List(_) => "a list".into(),
            Content::Scalar { .. } if self.is_null() => "nothing".into(),
            Content::Scalar { text, plain: true } if matches!(text.as_str(), "true" | "false") => text.clone(),
            Content::Scalar { text, plain: true } if text.parse::<f64>().is_ok() => format!("the number {text}"),
            Content::Scalar { text, .. } => format!("the text {}", quoted(text)),
        }
    }
}

/// Parses a whole file; `None` when it holds no document.
pub(super) fn parse(text: &str) -> Result<Option<Node>, Flaw> {
    let mut reader = Reader { parser: Parser::new_from_str(text), depth: 0 };
    let mut root = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(root),
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            Event::DocumentStart(_) if root.is_some() => {
                return Err(flaw(span, "", "a second document", "one document"));
            }
            Event::DocumentStart(_) => {}
            event => root = Some(reader.node(event, span, "")?),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Flaw> {
        match self.parser.next() {
            Some(Ok(pair)) => Ok(pair),
            Some(Err(error)) => {
                let at = Position { line: error.marker().line().max(1), column: error.marker().col() + 1 };
                let (found, expected) = plain_words(error.info());
                Err(Flaw { at, key: String::new(), found, expected })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, key: &str) -> Result<Node, Flaw> {
        let at = position(span);
        match event {
            Event::Alias(_) => Err(flaw(span, key, "an alias", "the value itself")),
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                if anchor > 0 =>
            {
                Err(flaw(span, key, "an anchor", "the value itself"))
            }
            Event::Scalar(_, _, _, Some(tag))
            | Event::SequenceStart(_, Some(tag))
            | Event::MappingStart(_, Some(tag)) => {
                let found = format!("the tag {}{}", tag.handle, tag.suffix);
                Err(flaw(span, key, &found, "a value without a tag"))
            }
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                Ok(Node { at, content: Content::Scalar { text: text.into_owned(), plain } })
            }
            Event::SequenceStart(..) => {
                self.nested(span, key, |reader| reader.list(key)).map(|list| Node { at, content: Content::List(list) })
            }
            Event::MappingStart(..) => {
                self.nested(span, key, |reader| reader.map(key)).map(|map| Node { at, content: Content::Map(map) })
            }
            _ => Err(flaw(span, key, "an unfinished document", "YAML")),
        }
    }

    fn nested<T>(&mut self, span: Span, key: &str, read: impl FnOnce(&mut Self) -> Result<T, Flaw>) -> Result<T, Flaw> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(flaw(span, key, "more than 32 levels", "at most 32 levels of nesting"));
        }
        let content = read(self);
        self.depth -= 1;
        content
    }

    fn list(&mut self, key: &str) -> Result<Vec<Node>, Flaw> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => {
                    let path = format!("{key}[{}]", items.len());
                    items.push(self.node(event, span, &path)?);
                }
            }
        }
    }

    fn map(&mut self, key: &str) -> Result<Vec<(Key, Node)>, Flaw> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let name = self.node(event, span, key)?;
            let Content::Scalar { text, .. } = name.content else {
                return Err(flaw(span, key, "a key that is no text", "a word as key"));
            };
            let path = if key.is_empty() { text.clone() } else { format!("{key}.{text}") };
            if text == "<<" {
                return Err(flaw(span, &path, "a merge key", "the values themselves"));
            }
            if let Some(first) = lines.insert(text.clone(), position(span).line) {
                let found = format!("the key a second time (first in line {first})");
                return Err(flaw(span, &path, &found, "each key once"));
            }
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span, &path)?;
            entries.push((Key { at: position(span), text }, value));
        }
    }
}

fn position(span: Span) -> Position {
    Position { line: span.start.line().max(1), column: span.start.col() + 1 }
}

fn flaw(span: Span, key: &str, found: &str, expected: &str) -> Flaw {
    Flaw { at: position(span), key: key.into(), found: found.into(), expected: expected.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (usize, String, String) {
        let flaw = parse(text).unwrap_err();
        (flaw.at.line, flaw.key, flaw.found)
    }

    #[test]
    fn positions_are_those_of_the_file() {
        let Some(Node { content: Content::Map(entries), .. }) = parse("# c\na: 1\nb:\n  - x\n").unwrap() else {
            panic!("a mapping was expected")
        };
        assert_eq!(entries[0].0.at, Position { line: 2, column: 1 });
        assert_eq!(entries[0].1.at, Position { line: 2, column: 4 });
        assert!(parse("").unwrap().is_none());
    }

    #[test]
    fn everything_that_could_surprise_is_refused_where_it_stands() {
        assert_eq!(refused("a: 1\na: 2\n"), (2, "a".into(), "the key a second time (first in line 1)".into()));
        assert_eq!(refused("x:\n  a: &k 1\n").2, "an anchor");
        assert_eq!(refused("a: !!str 1\n").2, "the tag tag:yaml.org,2002:str");
        assert_eq!(refused("<<: { a: 1 }\n").2, "a merge key");
        assert_eq!(refused("a: 1\n---\nb: 2\n").2, "a second document");
        assert_eq!(refused(&"[".repeat(40)).2, "more than 32 levels");
        assert_eq!(refused("a: [1\n").1, "");
    }
}
