use serde_json::json;

use super::*;

const LIMITS: Limits = Limits { levels: 32, bytes: 1 << 20, duplicates: Duplicates::Rejected };

fn read(text: &str) -> Result<Value, YamlError> {
    let roots = parse(text, LIMITS.levels)?;
    value((&roots[0], &roots[0]), "", LIMITS, &|_, _| false).map(|(value, _)| value)
}

#[test]
fn plain_scalars_have_the_types_of_yaml_1_1() {
    for (text, expected) in [
        ("yes", json!(true)),
        ("Off", json!(false)),
        ("y", json!(true)),
        ("yEs", json!("yEs")),
        ("~", json!(null)),
        ("0644", json!(420)),
        ("0o644", json!(420)),
        ("0b101", json!(5)),
        ("0b-1", json!(-1)),
        ("-0x1F", json!(-31)),
        ("1_000", json!(1000)),
        ("0888", json!(888)),
        ("_1", json!("_1")),
        ("1:30", json!("1:30")),
        ("2001-01-01", json!("2001-01-01")),
        ("1e3", json!(1000)),
        ("1.50", json!(1.5)),
        (".5_0", json!(0.5)),
        ("._5", json!("._5")),
        ("1e400", json!("1e400")),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("99999999999999999999", json!(1e20)),
        ("0x", json!("0x")),
        ("+", json!("+")),
        ("1.2.3", json!("1.2.3")),
        ("\"yes\"", json!("yes")),
        ("'0644'", json!("0644")),
        ("!!str yes", json!("yes")),
        ("!!float 1", json!(1)),
        ("!!binary aGk=", json!("hi")),
        ("!custom 12", json!("12")),
        ("! 12", json!("12")),
        ("! \"12\"", json!("12")),
        ("! yes", json!("yes")),
        ("! null", json!("null")),
        ("!", json!("")),
        ("!!int \"12\"", json!(12)),
    ] {
        assert_eq!(read(text).map_err(|flaw| flaw.to_string()), Ok(expected), "{text}");
    }
    for refused in [".nan", "-.inf", "!!int x", "!!bool 1", "!!int 1.0", "!!binary ?", "!!null x"] {
        assert!(read(refused).is_err(), "{refused}");
    }
}

#[test]
fn keys_become_texts_or_are_rejected() {
    let text = "1: a\nyes: b\n1.5: c\n1e6: d\n.inf: e\n0x10: f\n2001-01-01: g\n";
    let expected = json!({"1": "a", "true": "b", "1.5": "c", "1e+06": "d", ".inf": "e", "16": "f", "2001-01-01": "g"});
    assert_eq!(read(text).unwrap(), expected);
    for refused in ["~: 1", ": 1", "[a]: 1", "? {a: 1}\n: 1", "18446744073709551615: 1", "yes: 1\n\"true\": 2"] {
        assert!(read(refused).is_err(), "{refused}");
    }
}

#[test]
fn aliases_and_merge_keys_are_expanded() {
    let text = "base: &b { x: 1, deep: { z: 2 } }\nover: { <<: *b, x: 3 }\nunder: { x: 3, <<: *b }\n\
                list: { <<: [{ x: 9 }, *b] }\nsame: *b\n";
    let value = read(text).unwrap();
    assert_eq!(value["over"], json!({"x": 3, "deep": {"z": 2}}));
    assert_eq!(value["under"]["x"], 1, "go-yaml v2 takes the merged key that comes later");
    assert_eq!(value["list"]["x"], 9);
    let marked = "a: &a { x: 1 }\nb: { ! <<: *a }\nc: { ! \"<<\": *a }\nd: { !!merge \"<<\": *a }\ne: { \"<<\": *a }\n\
                  f: { !!str <<: *a }\ng: { ! 1.0: 1 }\n";
    let marked = read(marked).unwrap();
    let kept = json!({"<<": {"x": 1}});
    let merged = &marked["a"];
    assert_eq!([&marked["b"], &marked["c"], &marked["d"]], [merged; 3]);
    assert_eq!([&marked["e"], &marked["f"]], [&kept; 2]);
    assert_eq!(marked["g"], json!({"1.0": 1}));
    assert_eq!(value["same"], value["base"]);
    for refused in ["a: &a [*a]", "a: &a { <<: *a }", "a: *b", "<<: 1", "<<: [1]", "a: &a 1\nb: { <<: *a }"] {
        assert!(read(refused).is_err(), "{refused}");
    }
}

#[test]
fn large_expansions_and_deep_nesting_are_rejected() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = level - 1;
        let aliases = vec![format!("*a{below}"); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(read(&bomb).unwrap_err().found.contains("alias expanded"));
    assert!(read(&"[".repeat(40)).unwrap_err().found.contains("more than 32 levels"));
    let mut deep = "a0: &a0 x\n".to_owned();
    for level in 1..40 {
        deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(read(&deep).unwrap_err().found.contains("more than 32 levels"));
}

#[test]
fn marks_are_those_of_the_final_values() {
    let text = "base: &b { url: { env: A } }\nover: { <<: *b, url: plain }\nkept: { <<: *b }\nmap: !!map { env: A }\n";
    let roots = parse(text, 32).unwrap();
    let mark = |_: &[String], map: &serde_json::Map<String, Value>| map.contains_key("env");
    let (_, marked) = value((&roots[0], &roots[0]), "", LIMITS, &mark).unwrap();
    let paths: Vec<String> = marked.keys().map(|path| path.join("/")).collect();
    assert_eq!(paths, ["base/url", "kept/url"]);
}

/// With a copy of its path for each node, this would take many seconds.
#[test]
fn the_path_of_a_node_is_written_for_an_error_only() {
    let text = format!("? {}\n: [{}1]", "k".repeat(1_000_000), "1,".repeat(30_000));
    assert_eq!(parse(&text, LIMITS.levels).unwrap().len(), 1);
    assert_eq!(parse("a:\n- b: [1, [", LIMITS.levels).unwrap_err().key, "");
    assert_eq!(parse("a:\n- b: [1, [[2]]]", 4).unwrap_err().key, "a[0].b[1]");
}

#[test]
fn aliases_of_all_documents_share_one_limit() {
    let document = format!("a: &a {}\nb: [{}]\n---\n", "x".repeat(1 << 20), "*a,".repeat(9));
    assert_eq!(documents(&document).map(|found| found.len()), Ok(2));
    assert!(documents(&document.repeat(2)).is_err_and(|error| error.found.contains("every alias expanded")));
}

#[test]
fn a_text_has_a_limit_of_nodes() {
    let nodes = |limit| tree::parse_within("a: [1, 2]", 9, limit).map(|found| found.len());
    assert_eq!(nodes(5), Ok(1));
    assert!(nodes(4).is_err_and(|error| error.found == "too many keys and values"));
}

/// With a comparison of each key with every marked mapping, this would take many seconds.
#[test]
fn only_a_key_that_is_replaced_removes_marks() {
    let many: String = (0..20_000).map(|number| format!("k{number}: {{ e: 1 }}\n")).collect();
    let roots = parse(&format!("{many}k0: {{ f: 1 }}\n"), 9).unwrap();
    let limits = Limits { duplicates: Duplicates::LastCounts, bytes: 8 << 20, ..LIMITS };
    let (_, marked) = value((&roots[0], &roots[0]), "", limits, &|_, map| map.contains_key("e")).unwrap();
    assert_eq!(marked.len(), 19_999);
}

#[test]
fn documents_of_some_kinds_are_not_read() {
    let text = "kind: A\n---\n# Source: x\napiVersion: v1\nkind: \"ConfigMap\"\ndata:\n  x: |\n    ---\n    kind: A\n  bad: [\n\
                --- \nkind: B\n---\n{kind: ConfigMap}\n---\nkind: ConfigMap\nkind: C\n---\nkind: ConfigMap # x\n----\n";
    let kinds = |text, skipped: &[&str]| -> Result<Vec<String>, YamlError> {
        let found = documents_without(text, skipped)?;
        Ok(found.iter().map(|one| one["kind"].as_str().unwrap_or_default().to_owned()).collect())
    };
    let readable = text.replace("  bad: [\n", "").replace("----\n", "");
    assert_eq!(kinds(&readable, &["ConfigMap"]).unwrap(), ["A", "B", "ConfigMap", "C", "ConfigMap"]);
    assert_eq!(kinds(&readable, &[]).unwrap().len(), documents(&readable).unwrap().len());
    assert!(documents_without(text, &["Secret"]).is_err(), "what is read must be valid");
    assert_eq!(kinds("kind: A\n---\nkind: ConfigMap\nx: [\n", &["ConfigMap"]).unwrap(), ["A"]);
    assert_eq!(kinds("", &["ConfigMap"]).unwrap(), [""; 0]);
}
