//! The output of `explain`.

use crate::event::{Explanation, Topic};
use crate::report::labelled_block::{Block, Row};
use crate::report::style::{Style, Tone};

/// Each meaning with its next step.
pub fn explanations(meanings: &[Explanation], style: &Style, width: usize) -> String {
    let mut text = String::new();
    for one in meanings {
        let title = style.paint(Tone::Strong, &one.id);
        text += &format!("{title}, {}\n", topic_label(one.topic));
        let rows =
            [Row::new("means", &one.meaning), Row::of_lines("", &one.facts.join("\n")), Row::new("next", &one.next)];
        text += &Block { style: *style, width, indent: 2 }.text(&rows);
    }
    text
}

fn topic_label(topic: Topic) -> &'static str {
    match topic {
        Topic::Check => "a check",
        Topic::Diagnosis => "a diagnosis",
        Topic::ExitCode => "an exit code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meaning_facts_and_next_step_are_rows() {
        let one = Explanation {
            id: "grafana-reads-loki".into(),
            topic: Topic::Check,
            meaning: "Grafana's Loki data source answers".into(),
            facts: vec!["Group: dashboards. Verdict if false: fail.".into(), "Requires grafana-ready.".into()],
            next: "compare the data source's URL with the Service loki, and see the NetworkPolicies".into(),
        };
        insta::assert_snapshot!(explanations(&[one], &Style { color: false }, 70), @r"
        grafana-reads-loki, a check
          means   Grafana's Loki data source answers
                  Group: dashboards. Verdict if false: fail.
                  Requires grafana-ready.
          next    compare the data source's URL with the Service loki, and see
                  the NetworkPolicies
        ");
    }
}
