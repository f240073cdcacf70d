//! Generated chart values: JSON values, and YAML 1.1 texts.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

/// Scalars to which YAML 1.1, YAML 1.2 and JSON give different types.
const AMBIGUOUS: [&str; 44] = [
    "yes",
    "No",
    "ON",
    "off",
    "y",
    "N",
    "yEs",
    "true",
    "False",
    "TRUE",
    "~",
    "null",
    "Null",
    "nULL",
    "0644",
    "0o644",
    "0888",
    "08",
    "-017",
    "0x1F",
    "-0x1f",
    "0b101",
    "0b-1",
    "1_000",
    "_1",
    "1__0",
    "1:30",
    "190:20:30",
    "1e3",
    "1E+3",
    "-1.5e-9",
    ".5",
    "._5",
    "5.",
    "+12",
    "-0",
    "-0.0",
    "1e400",
    "2001-01-01",
    "2001-12-14t21:59:43.10-05:00",
    "1.2.3",
    "9007199254740993",
    "18446744073709551616",
    "0x",
];

/// Texts that a writer of YAML or JSON must quote or escape.
const SPECIAL: [&str; 22] = [
    "",
    " ",
    "<<",
    "=",
    "*a",
    "&a",
    "!!str x",
    "- a",
    "? a",
    "a: b",
    "a #b",
    "# a",
    "{{ .x }}",
    "%TAG",
    "---",
    "...",
    "line\nline\n",
    "\u{85}\u{2028}\u{2029}",
    "\u{feff}",
    "\0\x07\x1b\x7f",
    "a.b/c",
    "'\"\\",
];

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        select(AMBIGUOUS.to_vec()).prop_map(str::to_owned),
        select(SPECIAL.to_vec()).prop_map(str::to_owned),
        "[-+.0-9_eExXbBoO:]{1,8}",
        "\\PC{0,8}",
        any::<String>().prop_map(|text| text.chars().take(8).collect()),
    ]
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaves = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        (prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO).prop_map(Value::from),
        any::<f32>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaves.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(texts(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Plain scalars of flow style, of every type that the YAML of helm knows.
fn plain_scalars() -> impl Strategy<Value = String> {
    prop_oneof![
        select(AMBIGUOUS.to_vec()).prop_map(str::to_owned),
        "[-+]?[0-9][0-9_]{0,18}",
        "[-+]?[0-9_]{1,4}\\.[0-9_]{0,4}([eE][-+]?[0-9]{1,2})?",
        "[-+]?0[xXoObB]?[0-9a-fA-F_]{1,8}",
        "\\.[0-9_]{1,4}",
        "[0-9]{1,2}(:[0-5][0-9]){1,2}",
        "[12][0-9]{3}-[01]?[0-9]-[0-3]?[0-9]",
        "[a-zA-Z][a-zA-Z0-9_./-]{0,6}",
    ]
}

fn scalars() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => plain_scalars(),
        2 => texts().prop_map(|text| quoted(&text)),
        1 => "[ -~]{0,12}".prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
        1 => plain_scalars().prop_map(|text| format!("!!str {text}")),
        1 => plain_scalars().prop_map(|text| format!("! {text}")),
        1 => "[0-9]{1,6}".prop_map(|text| format!("!!float {text}")),
        1 => "([A-Za-z0-9+/]{4}){1,4}".prop_map(|text| format!("!!binary {text}")),
    ]
}

/// Keys that stay apart when YAML makes texts of them: numbers, words of YAML 1.1, floats, quoted ones. A key of type
/// null is refused.
fn keys() -> impl Strategy<Value = Vec<String>> {
    let rows = vec!["yes", "off", "0x10", "0o17", "1e6", "-2.50", "1_000", "2001-01-01", "1:30", "a.b", "'~'", "\"é\""];
    prop::sample::subsequence(rows, 0..4).prop_map(|keys| keys.into_iter().map(str::to_owned).collect())
}

fn flow_nodes() -> impl Strategy<Value = String> {
    scalars().prop_recursive(4, 16, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", ")));
        let map = (keys(), prop::collection::vec(inner, 4)).prop_map(|(keys, nodes)| {
            let entries: Vec<_> = keys.iter().zip(nodes).map(|(key, node)| format!("{key}: {node}")).collect();
            format!("{{{}}}", entries.join(", "))
        });
        prop_oneof![list, map]
    })
}

/// A block scalar, its lines indented by four spaces.
fn block_scalars() -> impl Strategy<Value = String> {
    let style = select(vec!["|", "|-", "|+", ">", ">-", ">+"]);
    let line = prop_oneof![Just(String::new()), "[!-~][ -~]{0,8}", "  [!-~]{1,4}"];
    (style, "[!-~]{1,4}", prop::collection::vec(line, 0..5)).prop_map(|(style, first, lines)| {
        let indented = |line: &String| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") };
        format!("{style}\n    {first}\n{}", lines.iter().map(indented).collect::<String>())
    })
}

/// A mapping that merges anchored ones, its own keys above and below the merge key.
fn merging() -> impl Strategy<Value = Merging> {
    let own = || prop::collection::vec(flow_nodes(), 0..2);
    (prop::collection::vec(any::<prop::sample::Index>(), 1..4), own(), own(), any::<bool>())
        .prop_map(|(anchors, above, below, is_list)| Merging { anchors, above, below, is_list })
}

#[derive(Clone, Debug)]
struct Merging {
    anchors: Vec<prop::sample::Index>,
    above: Vec<String>,
    below: Vec<String>,
    is_list: bool,
}

impl Merging {
    fn text(&self, anchored: usize) -> String {
        let aliases: Vec<_> = self.anchors.iter().map(|index| format!("*a{}", index.index(anchored))).collect();
        let key = ["<<", "! <<", "!!merge '<<'"][self.anchors.len() - 1];
        let merged = if self.is_list { format!("[{}]", aliases.join(", ")) } else { aliases[0].clone() };
        let above = self.above.iter().enumerate().map(|(index, node)| format!("k{index}: {node}"));
        let below = self.below.iter().enumerate().map(|(index, node)| format!("k{}: {node}", index + 2));
        let entries: Vec<_> = above.chain([format!("{key}: {merged}")]).chain(below).collect();
        format!("{{{}}}", entries.join(", "))
    }
}

/// A double-quoted scalar, all but printable ASCII escaped.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|character| match character {
        '"' | '\\' => format!("\\{character}"),
        ' '..='~' => character.to_string(),
        _ => format!("\\U{:08x}", u32::from(character)),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// A JSON value as YAML that every reader reads as that value.
pub fn as_yaml(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(as_yaml).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}: {}", quoted(key), as_yaml(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

/// A source of cases; the same seed gives the same ones.
pub struct Generator(TestRunner);

impl Generator {
    pub fn new(seed: u64) -> Generator {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Generator(TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng))
    }

    fn one<T: std::fmt::Debug>(&mut self, strategy: &impl Strategy<Value = T>) -> T {
        strategy.new_tree(&mut self.0).expect("a value").current()
    }

    /// So many JSON values.
    pub fn json(&mut self, count: usize) -> Vec<Value> {
        let strategy = json_values();
        (0..count).map(|_| self.one(&strategy)).collect()
    }

    /// So many nodes of YAML of each kind, as a block mapping: key to text, in the order of the text.
    pub fn yaml(&mut self, count: usize) -> BTreeMap<String, String> {
        let (flow, block, merging) = (flow_nodes(), block_scalars(), merging());
        let anchored = (keys(), prop::collection::vec(flow_nodes(), 4)).prop_map(|(keys, nodes)| {
            let own = nodes.iter().enumerate().map(|(index, node)| format!("k{index}: {node}"));
            let odd = keys.iter().zip(&nodes).map(|(key, node)| format!("{key}: {node}"));
            format!("{{{}}}", own.chain(odd).collect::<Vec<_>>().join(", "))
        });
        let mut entries = BTreeMap::new();
        for index in 0..count {
            entries.insert(format!("a{index:04}"), format!("&a{index} {}", self.one(&anchored)));
            entries.insert(format!("b{index:04}"), self.one(&block));
            entries.insert(format!("f{index:04}"), self.one(&flow));
            entries.insert(format!("m{index:04}"), self.one(&merging).text(count));
            entries.insert(format!("r{index:04}"), format!("*a{index}"));
        }
        entries
    }
}
