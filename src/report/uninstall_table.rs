//! Tables of an uninstall: what is deleted beside the releases, and what stays and why.

use crate::event::Kept;
use crate::report::style::{Style, Tone};
use crate::report::wrap::{one_line, wrap};

/// What an uninstall will do beside its releases: what it deletes, and what it leaves and why.
pub fn removal_table(going: &[Kept], staying: &[Kept], style: &Style, width: usize) -> String {
    let deleted = groups(going).map(|group| objects(group, width)).collect::<String>();
    let heading = |words, tone| format!("{}\n", style.paint(tone, words));
    let mut text = String::new();
    if !deleted.is_empty() {
        text += &(heading("deleted", Tone::Bad) + &deleted + "\n");
    }
    if !staying.is_empty() {
        text += &(heading("stays", Tone::Strong) + &reasons(staying, style, width) + "\n");
    }
    text
}

/// What stays after an uninstall, why, and what removes it.
pub fn kept_table(kept: &[Kept], style: &Style, width: usize) -> String {
    if kept.is_empty() {
        return "nothing of the stack is left\n".into();
    }
    format!("\n{}\n{}", style.paint(Tone::Strong, "stays"), reasons(kept, style, width))
}

/// What is of one kind and place, for one reason, is told together.
fn groups(kept: &[Kept]) -> impl Iterator<Item = &[Kept]> {
    kept.chunk_by(|one, other| {
        Kept { name: String::new(), ..one.clone() } == Kept { name: String::new(), ..other.clone() }
    })
}

fn reasons(kept: &[Kept], style: &Style, width: usize) -> String {
    let text = groups(kept).map(|group| {
        let removal = group[0].removal.as_ref().map(|removal| format!("; `{removal}` removes it")).unwrap_or_default();
        let why = wrap(&format!("    {}{removal}", one_line(&group[0].reason)), "    ", width);
        objects(group, width) + &style.paint(Tone::Faint, &why) + "\n"
    });
    text.collect()
}

fn objects(group: &[Kept], width: usize) -> String {
    let names: Vec<&str> = group.iter().map(|kept| kept.name.as_str()).collect();
    let place = group[0].namespace.as_ref().map(|name| format!(" in namespace {name}")).unwrap_or_default();
    wrap(&format!("  {}{place}: {}", group[0].kind, names.join(", ")), "      ", width) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(kind: &str, name: &str, (reason, removal): (&str, Option<&str>)) -> Kept {
        Kept {
            kind: kind.into(),
            namespace: (kind != "Directory").then(|| "monitoring".into()),
            name: name.into(),
            reason: reason.into(),
            removal: removal.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_alike_is_reported_together_with_what_removes_it() {
        let data = ("data", Some("--delete-data"));
        let staying = [
            kept("PersistentVolumeClaim", "a", data),
            kept("PersistentVolumeClaim", "b", data),
            kept("ConfigMap", "notes", ("not tailwatch's", None)),
            kept("Directory", "/var/lib/alloy", ("state of alloy on every node", Some("rm -r /var/lib/alloy"))),
        ];
        let going = [kept("Ingress", "grafana", ("", None)), kept("Secret", "x", ("", None))];
        insta::assert_snapshot!(removal_table(&going, &staying, &Style { color: false, quiet: false }, 60), @r"
        deleted
          Ingress in namespace monitoring: grafana
          Secret in namespace monitoring: x

        stays
          PersistentVolumeClaim in namespace monitoring: a, b
            data; `--delete-data` removes it
          ConfigMap in namespace monitoring: notes
            not tailwatch's
          Directory: /var/lib/alloy
            state of alloy on every node; `rm -r /var/lib/alloy`
            removes it
        ");
        assert_eq!(
            kept_table(&[], &Style { color: false, quiet: false }, 60),
            "nothing of the stack is left
"
        );
    }
}
