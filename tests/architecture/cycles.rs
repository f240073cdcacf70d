//! Module cycles between files. A path that names a re-export refers to the file that defines the item.

use std::collections::{BTreeMap, BTreeSet};

/// A file of `src` as a module.
#[derive(Default)]
struct Module {
    /// Its path below `src`.
    file: String,
    /// Below the crate's root, e.g. `[config, load]`.
    path: Vec<String>,
    items: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths outside of `use`.
    mentions: BTreeSet<Vec<String>>,
}

struct Import {
    path: Vec<String>,
    /// The name in this module; `*` for all names.
    name: String,
    is_public: bool,
}

/// Sets of files (path, text) that refer to one another.
pub fn cycles<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<BTreeSet<String>> {
    let modules: BTreeMap<Vec<String>, Module> = files
        .filter(|(path, _)| *path != "main.rs" && !path.ends_with("tests.rs"))
        .map(|(path, text)| Module::read(path, text))
        .map(|module| (module.path.clone(), module))
        .collect();
    let edges: BTreeMap<&str, BTreeSet<&str>> =
        modules.values().map(|module| (module.file.as_str(), module.refers_to(&modules))).collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|file| (*file, reachable(file, &edges))).collect();
    let with = |file: &str| -> BTreeSet<String> {
        reached[file].iter().filter(|other| reached[*other].contains(file)).map(|other| (*other).to_owned()).collect()
    };
    let cycles: BTreeSet<_> = reached.keys().map(|file| with(file)).filter(|cycle| !cycle.is_empty()).collect();
    cycles.into_iter().collect()
}

fn reachable<'a>(from: &str, edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = edges[from].iter().copied().collect();
    while let Some(file) = open.pop() {
        if seen.insert(file) {
            open.extend(&edges[file]);
        }
    }
    seen
}

impl Module {
    fn read(file: &str, text: &str) -> Self {
        let path = file.trim_end_matches(".rs").trim_end_matches("mod").trim_end_matches('/');
        let path = path.split('/').filter(|part| *part != "lib").map(str::to_owned).collect();
        let mut module = Self { file: file.to_owned(), path, ..Self::default() };
        let words = without_tests(words(text));
        let mut at = 0;
        while at < words.len() {
            let end = words[at..].iter().position(|word| word == ";").map_or(words.len(), |length| at + length);
            match words[at].as_str() {
                "use" => {
                    let is_public = at > 0 && (words[at - 1] == "pub" || words[at - 1] == ")");
                    import(&words[at + 1..end], &[], is_public, &mut module.imports);
                    at = end;
                }
                "mod" => at += 2,
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "macro_rules" if at + 1 < end => {
                    let name = words[at + 1..end].iter().find(|word| !matches!(word.as_str(), "mut" | "!"));
                    module.items.extend(name.filter(|name| is_name(name)).cloned());
                    at += 1;
                }
                word if is_name(word) && (at == 0 || ![".", "::", "$"].contains(&words[at - 1].as_str())) => {
                    let length = 1 + 2 * words[at + 1..]
                        .chunks_exact(2)
                        .take_while(|next| next[0] == "::" && is_name(&next[1]))
                        .count();
                    module.mentions.insert(words[at..at + length].iter().step_by(2).cloned().collect());
                    at += length;
                }
                _ => at += 1,
            }
        }
        module
    }

    /// The other files of this module's imports and paths. A re-export that the module does not use itself is none.
    fn refers_to<'a>(&self, modules: &'a BTreeMap<Vec<String>, Module>) -> BTreeSet<&'a str> {
        let is_used = |name: &str| self.mentions.iter().any(|path| path[0] == name);
        let imports = self.imports.iter().filter(|import| !import.is_public || is_used(&import.name));
        let paths = imports.map(|import| &import.path).chain(&self.mentions);
        let mut files: BTreeSet<&str> = paths.filter_map(|path| self.definition(path, modules)).collect();
        files.remove(self.file.as_str());
        files
    }

    /// The file that defines the item of a path; none for a module or a name of another crate.
    fn definition<'a>(&self, path: &[String], modules: &'a BTreeMap<Vec<String>, Module>) -> Option<&'a str> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" | "tailwatch" => modules.get(&Vec::new())?.definition(rest, modules),
            "self" => self.definition(rest, modules),
            "super" => modules.get(&self.path[..self.path.len() - 1])?.definition(rest, modules),
            name => {
                let child: Vec<String> = self.path.iter().chain([first]).cloned().collect();
                if let Some(child) = modules.get(&child) {
                    return child.definition(rest, modules);
                }
                if self.items.contains(name) {
                    return modules.get(&self.path).map(|module| module.file.as_str());
                }
                self.imports.iter().find_map(|import| {
                    let through = match import.name.as_str() {
                        "*" => [&import.path[..], path].concat(),
                        alias if alias == name && import.path != path => [&import.path[..], rest].concat(),
                        _ => return None,
                    };
                    self.definition(&through, modules)
                })
            }
        }
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The imports of a use tree: `a::{b, c::d as e}` -> b, e.
fn import(tree: &[String], prefix: &[String], is_public: bool, imports: &mut Vec<Import>) {
    let group = tree.iter().position(|word| word == "{");
    let mut path = prefix.to_vec();
    path.extend(tree[..group.unwrap_or(tree.len())].iter().filter(|word| is_name(word) && *word != "self").cloned());
    let Some(group) = group else {
        let alias = tree.iter().position(|word| word == "as").map(|at| tree[at + 1].clone());
        if alias.is_some() {
            path.truncate(path.len() - 2);
        }
        if tree.first().is_some_and(|word| word == "self") && prefix.is_empty() {
            path.insert(0, "self".into());
        }
        let last = if tree.last().is_some_and(|word| word == "*") { Some("*".into()) } else { path.last().cloned() };
        if let Some(name) = alias.or(last) {
            imports.push(Import { path, name, is_public });
        }
        return;
    };
    let (mut depth, mut begin) = (0_usize, group + 1);
    for (at, word) in tree.iter().enumerate().skip(group + 1) {
        match word.as_str() {
            "{" => depth += 1,
            "," | "}" if depth == 0 => {
                if begin < at {
                    import(&tree[begin..at], &path, is_public, imports);
                }
                begin = at + 1;
            }
            "}" => depth -= 1,
            _ => {}
        }
    }
}

/// The words and signs without comments, texts and characters.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let raw = rest.strip_prefix('r').map(|text| text.trim_start_matches('#')).filter(|text| text.starts_with('"'));
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(inner) = raw {
            let end = format!("\"{}", "#".repeat(rest.len() - inner.len() - 1));
            let begin = end.len() + 1;
            rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len())
        } else if first == '"' {
            let mut is_escaped = false;
            let end = rest[1..].find(|c| {
                let is_end = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                is_end
            });
            end.map_or(rest.len(), |at| at + 2)
        } else if let Some(escape) = rest.strip_prefix("'\\") {
            escape.chars().next().map_or(2, |c| 2 + c.len_utf8())
        } else if first == '\'' && rest.chars().nth(2) == Some('\'') {
            rest.char_indices().nth(3).map_or(rest.len(), |(at, _)| at)
        } else if first.is_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            words.push(rest[..length].to_owned());
            length
        } else {
            let sign = if rest.starts_with("::") { "::" } else { &rest[..first.len_utf8()] };
            if !first.is_whitespace() {
                words.push(sign.to_owned());
            }
            sign.len()
        };
        rest = &rest[length..];
    }
    words
}

/// Without the items behind `#[cfg(test)]`.
fn without_tests(words: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if !words[at..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"].map(str::to_owned)) {
            kept.push(words[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0_usize;
        for word in &words[at..] {
            at += 1;
            match word.as_str() {
                "{" => depth += 1,
                "}" if depth > 1 => depth -= 1,
                "}" => break,
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    kept
}
