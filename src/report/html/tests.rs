//! Tests of the page; they write it into the target folder for inspection.

use std::path::Path;

use super::*;
use crate::event::Verdict;
use crate::report::record_tests::{all_passed, replayed, verified};

fn page_of(name: &str, facts: &Facts) -> String {
    let page = page_in(facts, &TimeZone::UTC);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pages");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name).with_extension("html"), &page).unwrap();
    page
}

/// Names of elements that are not closed, or closed in another order.
fn unbalanced(page: &str) -> Vec<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut wrong = Vec::new();
    for tag in page.split('<').skip(1).map(|rest| rest.split_once('>').unwrap().0) {
        let name = tag.trim_start_matches('/').split_whitespace().next().unwrap();
        match tag.strip_prefix('/') {
            _ if matches!(name, "!DOCTYPE" | "meta" | "link") => {}
            None => open.push(name),
            Some(_) if open.pop() == Some(name) => {}
            Some(_) => wrong.push(name.to_owned()),
        }
    }
    wrong.into_iter().chain(open.into_iter().map(str::to_owned)).collect()
}

/// Every value of the attribute.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    page.split(&format!(" {name}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_check_is_in_its_group_with_its_verdict() {
    let facts = verified();
    let page = page_of("broken", &facts);
    assert_eq!(unbalanced(&page), Vec::<String>::new());
    for check in &facts.checks {
        let statement = check.statement.replace('\'', "&#39;");
        let statement = if page.contains(&statement) { statement } else { check.statement.clone() };
        let (before, _) = page.split_once(&format!("<p>{statement}</p>")).unwrap();
        let verdict = format!("<span class=\"verdict\">{}</span></td><td>", verdict_label(check.verdict));
        assert!(before.ends_with(&verdict), "{statement}");
        let (_, group) = before.rsplit_once("<th scope=\"rowgroup\" colspan=\"3\">").unwrap();
        assert!(group.starts_with(&check.group), "{statement}");
    }
    assert!(page.contains("<code>kubectl -n monitoring logs ds/alloy</code>; 401 means"));
    for part in ["1.33.4", "4.0.1", "prod-eu", "79.10.0", "v0.86.2", "not known", "2026-11-24 14:02:00 UTC"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn the_broken_hop_is_listed_and_marked_in_both_diagrams() {
    let page = page_of("broken", &verified());
    assert!(page.contains("Broken between Alloy and Loki: "));
    assert!(page.contains("Alloy → Loki: <span class=\"verdict bad\">broken</span>"));
    assert!(page.contains("Loki → Grafana: <span class=\"verdict plain\">unproven</span>"));
    assert_eq!(page.matches("<g class=\"edge broken\">").count(), 2);
    assert_eq!(page.matches("<g class=\"edge works\">").count(), 2);
    assert_eq!(page.matches("<g class=\"edge unproven\">").count(), 4);
    let reported = attributes(&page, "aria-label");
    assert!(
        reported.len() == 2 && reported.iter().all(|reported| reported.contains("Alloy → Loki broken; ")),
        "{reported:?}"
    );
}

#[test]
fn the_page_has_no_external_resources_and_no_scripts() {
    for page in [page_of("broken", &verified()), page_of("failed", &replayed("image-not-found"))] {
        for loads in ["<script", " src=", "url(", "@import", "<iframe", "<object", " onload", "<form"] {
            assert!(!page.contains(loads), "{loads}");
        }
        let (_, body) = page.split_once("<body>").unwrap();
        assert_eq!(body.matches(" href=").count(), body.matches("<a href=").count());
        assert!(attributes(&page, "href").iter().all(|to| *to == "data:," || to.starts_with("https://")));
    }
}

#[test]
fn quoted_texts_are_escaped() {
    let mut facts = verified();
    let hostile = "</p><script>alert(1)</script>\"'<img src=x onerror=y>";
    for check in &mut facts.checks {
        (check.detail, check.statement) = (hostile.into(), hostile.into());
        (check.hint, check.docs) = (Some(format!("`{hostile}`")), Some("javascript:alert(1)".into()));
    }
    let page = page_in(&facts, &TimeZone::UTC);
    assert!(!page.contains("<script") && !page.contains("<img"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!attributes(&page, "href").iter().any(|to| to.starts_with("javascript")));
    assert_eq!(unbalanced(&page), Vec::<String>::new());
}

#[test]
fn a_run_has_a_timeline_and_its_failure() {
    let page = page_of("failed", &replayed("image-not-found"));
    assert_eq!(unbalanced(&page), Vec::<String>::new());
    assert!(page.contains("Failed: loki failed in wave 32"));
    assert!(page.contains("image docker.io/grafana/loki:3.5.77"));
    assert!(page.contains("not started") && page.contains("failed after"));
    assert_eq!(page.matches("margin-left:").count(), 3, "alloy was never started");
    let good = replayed("good");
    let (page, checks) = (page_of("good", &good), good.checks.len());
    assert!(page.contains(&format!("Works: {checks} of {checks} checks passed")) && page.contains("installed in 19s"));
    assert!(!page.contains("id=\"path\""), "no check of it names a hop");
    assert!(!page.contains("id=\"why\""));
}

#[test]
fn without_steps_there_is_no_timeline_and_no_working_edge() {
    let page = page_of("passed", &all_passed());
    assert!(!page.contains("id=\"waves\""));
    let mut facts = all_passed();
    let checks = facts.checks.len();
    assert!(page.contains(&format!("Works: {checks} of {checks} checks passed")));
    facts.checks.iter_mut().for_each(|check| check.verdict = Verdict::Skip);
    assert!(!page_in(&facts, &TimeZone::UTC).contains("class=\"edge works\""));
}
