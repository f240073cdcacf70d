//! Tables of an uninstall: the objects that are deleted besides the releases, and the retained ones with the reason.

use crate::event::RetainedObject;
use crate::report::style::{Style, Tone};
use crate::report::wrap::{one_line, wrap};

/// The plan of an uninstall: objects to delete besides the releases, and retained objects with the reason.
pub fn removal_table(deleted: &[RetainedObject], retained: &[RetainedObject], style: &Style, width: usize) -> String {
    let deleted = groups(deleted).map(|group| objects(group, width)).collect::<String>();
    let heading = |title, tone| format!("{}\n", style.paint(tone, title));
    let mut text = String::new();
    if !deleted.is_empty() {
        text += &(heading("deleted", Tone::Bad) + &deleted + "\n");
    }
    if !retained.is_empty() {
        text += &(heading("retained", Tone::Strong) + &reasons(retained, style, width) + "\n");
    }
    text
}

/// The objects that an uninstall retained, the reasons, and what removes them.
pub fn retained_table(retained: &[RetainedObject], style: &Style, width: usize) -> String {
    if retained.is_empty() {
        return "nothing retained\n".into();
    }
    format!("\n{}\n{}", style.paint(Tone::Strong, "retained"), reasons(retained, style, width))
}

/// Objects with the same kind, namespace, reason and removal.
fn groups(retained: &[RetainedObject]) -> impl Iterator<Item = &[RetainedObject]> {
    retained.chunk_by(|one, other| {
        RetainedObject { name: String::new(), ..one.clone() } == RetainedObject { name: String::new(), ..other.clone() }
    })
}

fn reasons(retained: &[RetainedObject], style: &Style, width: usize) -> String {
    let text = groups(retained).map(|group| {
        let removal = group[0].removal.as_ref().map(|removal| format!("; `{removal}` removes it")).unwrap_or_default();
        let why = wrap(&format!("    {}{removal}", one_line(&group[0].reason)), "    ", width);
        objects(group, width) + &style.paint(Tone::Faint, &why) + "\n"
    });
    text.collect()
}

fn objects(group: &[RetainedObject], width: usize) -> String {
    let names: Vec<&str> = group.iter().map(|retained| retained.name.as_str()).collect();
    let place = group[0].namespace.as_ref().map(|name| format!(" in namespace {name}")).unwrap_or_default();
    wrap(&format!("  {}{place}: {}", group[0].kind, names.join(", ")), "      ", width) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, name: &str, (reason, removal): (&str, Option<&str>)) -> RetainedObject {
        RetainedObject {
            kind: kind.into(),
            namespace: (kind != "Directory").then(|| "monitoring".into()),
            name: name.into(),
            reason: reason.into(),
            removal: removal.map(str::to_owned),
        }
    }

    #[test]
    fn objects_with_the_same_reason_are_grouped() {
        let data = ("data", Some("--delete-data"));
        let retained = [
            object("PersistentVolumeClaim", "a", data),
            object("PersistentVolumeClaim", "b", data),
            object("ConfigMap", "notes", ("not managed by tailwatch", None)),
            object("Directory", "/var/lib/alloy", ("state of alloy on every node", Some("rm -r /var/lib/alloy"))),
        ];
        let deleted = [object("Ingress", "grafana", ("", None)), object("Secret", "x", ("", None))];
        insta::assert_snapshot!(removal_table(&deleted, &retained, &Style { color: false }, 60), @r"
        deleted
          Ingress in namespace monitoring: grafana
          Secret in namespace monitoring: x

        retained
          PersistentVolumeClaim in namespace monitoring: a, b
            data; `--delete-data` removes it
          ConfigMap in namespace monitoring: notes
            not managed by tailwatch
          Directory: /var/lib/alloy
            state of alloy on every node; `rm -r /var/lib/alloy`
            removes it
        ");
        assert_eq!(
            retained_table(&[], &Style { color: false }, 60),
            "nothing retained
"
        );
    }
}
