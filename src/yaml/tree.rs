//! A YAML text as a tree with positions, anchors, aliases and tags as written, not expanded.

use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

/// The start of a node; both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// A node with its position.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its start.
    pub at: Position,
    /// Its anchor as a number, unique even if the text uses a name twice.
    pub anchor: Option<usize>,
    /// Its full tag, e.g. `tag:yaml.org,2002:str`.
    pub tag: Option<String>,
    /// Its content.
    pub content: Content,
}

/// The content of a node.
#[derive(Clone, Debug)]
pub enum Content {
    /// A scalar as written.
    Scalar {
        /// Its text, with escapes and folds resolved.
        text: String,
        /// Neither quoted nor a block: its text determines the type.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the text; keys may be duplicate.
    Map(Vec<(Node, Node)>),
    /// The number of its anchor.
    Alias(usize),
}

/// An error in the text, with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Position.
    pub at: Position,
    /// Keys from the root, `a.b[0]`; may be empty.
    pub key: String,
    /// What was found, as a fragment.
    pub found: String,
    /// What was expected, as a fragment.
    pub expected: String,
}

impl YamlError {
    /// A flaw at a node.
    pub fn new(
        at: Position,
        key: impl fmt::Display,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> YamlError {
        YamlError { at, key: key.to_string(), found: found.into(), expected: expected.into() }
    }
}

/// Keys and indexes from the root, written as `a.b[0]`. A node refers to the path above it: the copies of a long path would
/// otherwise take more than the text.
#[derive(Clone, Copy, Debug)]
pub enum KeyPath<'a> {
    /// The path of the root, may be empty.
    Root(&'a str),
    /// An entry of a mapping.
    Entry(&'a KeyPath<'a>, &'a str),
    /// An item of a list.
    Item(&'a KeyPath<'a>, usize),
}

impl fmt::Display for KeyPath<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyPath::Root(path) => formatter.write_str(path),
            KeyPath::Entry(KeyPath::Root(""), name) => formatter.write_str(name),
            KeyPath::Entry(above, name) => write!(formatter, "{above}.{name}"),
            KeyPath::Item(above, index) => write!(formatter, "{above}[{index}]"),
        }
    }
}

/// Nodes of a text, far above those of any chart or kubeconfig; each takes a hundred bytes.
const MAX_NODES: usize = 1 << 20;

/// Phrases of the parser's messages, with the found and the expected text.
const MESSAGES: [(&str, &str, &str); 6] = [
    ("simple key expect", "a line without a colon, here or just above", "`key: value`"),
    ("tabs disallowed", "a tab", "spaces"),
    ("quoted scalar", "a quote that is not closed", "the closing quote"),
    ("did not find expected key", "an indentation that fits no line above", "the keys of one mapping below each other"),
    ("illegal placement of ':'", "a colon between brackets", "every [ and { closed above"),
    ("unknown anchor", "an alias of an anchor that no line above defines", "the value itself"),
];

fn readable(info: &str) -> (String, String) {
    match MESSAGES.iter().find(|(phrase, ..)| info.contains(phrase)) {
        Some((_, found, expected)) => ((*found).to_owned(), (*expected).to_owned()),
        None => (format!("text that is not YAML ({info})"), "lines such as `key: value`".to_owned()),
    }
}

/// The root of each document, with the position of the document; `levels` limits the nesting.
pub fn parse_documents(text: &str, levels: usize) -> Result<Vec<(Position, Node)>, YamlError> {
    parse_within(text, levels, MAX_NODES)
}

/// The same with a limit of nodes.
pub(super) fn parse_within(text: &str, levels: usize, nodes: usize) -> Result<Vec<(Position, Node)>, YamlError> {
    let mut reader = Reader { parser: Parser::new_from_str(text), depth: 0, levels, left: nodes };
    let mut documents = Vec::new();
    let mut begin = Position { line: 1, column: 1 };
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::DocumentStart(_) => begin = position(span),
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            event => documents.push((begin, reader.node(event, span, &KeyPath::Root(""))?)),
        }
    }
}

/// The same without the positions.
pub fn parse(text: &str, levels: usize) -> Result<Vec<Node>, YamlError> {
    Ok(parse_documents(text, levels)?.into_iter().map(|(_, root)| root).collect())
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    depth: usize,
    levels: usize,
    /// Nodes that may follow.
    left: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.parser.next() {
            Some(Ok(pair)) => Ok(pair),
            Some(Err(error)) => {
                let at = Position { line: error.marker().line().max(1), column: error.marker().col() + 1 };
                if error.info().contains("recursion limit") {
                    return Err(too_deep(at, &KeyPath::Root(""), self.levels));
                }
                let (found, expected) = readable(error.info());
                Err(YamlError { at, key: String::new(), found, expected })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, key: &KeyPath<'_>) -> Result<Node, YamlError> {
        let at = position(span);
        let Some(left) = self.left.checked_sub(1) else {
            return Err(YamlError::new(at, key, "too many keys and values", "a smaller text"));
        };
        self.left = left;
        let node = |anchor, tag: Option<std::borrow::Cow<'_, Tag>>, content| {
            let tag = tag.map(|tag| format!("{}{}", tag.handle, tag.suffix));
            Node { at, anchor: (anchor > 0).then_some(anchor), tag, content }
        };
        match event {
            Event::Alias(anchor) => Ok(node(0, None, Content::Alias(anchor))),
            Event::Scalar(text, style, anchor, tag) => {
                let content = Content::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                Ok(node(anchor, tag, content))
            }
            Event::SequenceStart(anchor, tag) => {
                let items = self.nested(at, key, |reader| reader.list(key))?;
                Ok(node(anchor, tag, Content::List(items)))
            }
            Event::MappingStart(anchor, tag) => {
                let entries = self.nested(at, key, |reader| reader.map(key))?;
                Ok(node(anchor, tag, Content::Map(entries)))
            }
            _ => Err(YamlError::new(at, key, "an unfinished document", "YAML")),
        }
    }

    fn nested<T>(
        &mut self,
        at: Position,
        key: &KeyPath<'_>,
        read: impl FnOnce(&mut Self) -> Result<T, YamlError>,
    ) -> Result<T, YamlError> {
        self.depth += 1;
        if self.depth > self.levels {
            return Err(too_deep(at, key, self.levels));
        }
        let content = read(self);
        self.depth -= 1;
        content
    }

    fn list(&mut self, key: &KeyPath<'_>) -> Result<Vec<Node>, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => {
                    let item = self.node(event, span, &KeyPath::Item(key, items.len()))?;
                    items.push(item);
                }
            }
        }
    }

    fn map(&mut self, key: &KeyPath<'_>) -> Result<Vec<(Node, Node)>, YamlError> {
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let name = self.node(event, span, key)?;
            let path = match &name.content {
                Content::Scalar { text, .. } => KeyPath::Entry(key, text),
                _ => *key,
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, &path)?;
            entries.push((name, value));
        }
    }
}

pub(super) fn too_deep(at: Position, key: &KeyPath<'_>, levels: usize) -> YamlError {
    YamlError::new(at, key, format!("more than {levels} levels"), format!("at most {levels} levels of nesting"))
}

fn position(span: Span) -> Position {
    Position { line: span.start.line().max(1), column: span.start.col() + 1 }
}
