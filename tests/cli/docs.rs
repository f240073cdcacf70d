//! The documentation: its links lead to files and headings, and the program has the commands and flags of its examples.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use support::repository;

use crate::host::Host;
use crate::output::{COMMANDS, help};

/// A page, with what its Markdown has.
struct Page {
    path: PathBuf,
    /// Anchors of the headings, as GitHub makes them.
    anchors: BTreeSet<String>,
    links: Vec<String>,
    /// Texts in code: one of a line, or a line of a block.
    code: Vec<String>,
}

impl Page {
    fn read(path: &Path) -> Page {
        let text = std::fs::read_to_string(path).unwrap();
        let (mut anchors, mut links, mut code) = (BTreeSet::new(), Vec::new(), Vec::new());
        let (mut heading, mut block) = (None::<String>, None::<String>);
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|text| anchor(&text))),
                Event::Start(Tag::CodeBlock(_)) => block = Some(String::new()),
                Event::End(TagEnd::CodeBlock) => {
                    let lines = block.take().unwrap_or_default().replace("\\\n", " ");
                    code.extend(lines.lines().map(|line| line.trim_start_matches("$ ").to_owned()));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    links.push(dest_url.into_string());
                }
                Event::Text(text) => {
                    for open in [&mut heading, &mut block].into_iter().flatten() {
                        open.push_str(&text);
                    }
                }
                Event::Code(text) => {
                    heading.iter_mut().for_each(|open| open.push_str(&text));
                    code.push(text.into_string());
                }
                _ => {}
            }
        }
        Page { path: path.to_owned(), anchors, links, code }
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn root() -> PathBuf {
    repository().canonicalize().unwrap()
}

/// Every page of the repository's root, of docs, and of the tests.
fn pages() -> Vec<Page> {
    let folders = ["", "docs", "tests", "tests/sandbox"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let pages: Vec<Page> =
        files.filter(|path| path.extension().is_some_and(|end| end == "md")).map(|path| Page::read(&path)).collect();
    assert!(pages.len() > 15);
    pages
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let pages = pages();
    let mut broken = Vec::new();
    for page in &pages {
        for link in page.links.iter().filter(|link| !link.contains("://")) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.path.clone(),
                _ => page.path.with_file_name(file),
            };
            let Ok(target) = target.canonicalize() else {
                broken.push(format!("{}: {link}", page.path.display()));
                continue;
            };
            let of_target = pages.iter().find(|page| page.path == target);
            if !fragment.is_empty() && !of_target.is_some_and(|page| page.anchors.contains(fragment)) {
                broken.push(format!("{}: {link}: no such heading", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// README's line of links has every page of docs.
#[test]
fn every_page_is_linked_in_the_readme() {
    let pages = pages();
    let readme = pages.iter().find(|page| page.path == root().join("README.md")).unwrap();
    let missing: Vec<String> = pages
        .iter()
        .filter_map(|page| page.path.strip_prefix(root().join("docs")).ok())
        .map(|file| format!("docs/{}", file.display()))
        .filter(|page| !readme.links.iter().any(|link| link.split('#').next() == Some(page)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_program_has_every_command_and_flag_of_the_examples() {
    let machine = Host::new();
    let mut examples = 0;
    let mut unknown = Vec::new();
    for page in pages() {
        for line in page.code.iter().filter_map(|code| code.strip_prefix("tailwatch ")) {
            let own = line.split(['|', '#', '>', ';']).next().unwrap_or_default();
            let words: Vec<&str> = own.split(" && ").next().unwrap_or_default().split_whitespace().collect();
            let command =
                COMMANDS.iter().filter(|command| words.starts_with(command)).max_by_key(|command| command.len());
            let text = help(&machine, command.unwrap_or(&COMMANDS[0]), "--help");
            let is_command = command.is_some_and(|command| !command.is_empty())
                || words.first().is_none_or(|word| word.starts_with('-'));
            let flags = words.iter().filter_map(|word| word.trim_matches(['[', ']']).strip_prefix("--"));
            let mut names = flags.map(|flag| flag.split('=').next().unwrap_or_default());
            let is_known = |name: &str| {
                let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                words.any(|word| word.strip_prefix("--") == Some(name))
            };
            if !is_command || !names.all(is_known) {
                unknown.push(format!("{}: tailwatch {line}", page.path.display()));
            }
            examples += 1;
        }
    }
    assert!(examples > 40, "{examples}");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}
