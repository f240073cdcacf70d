//! `answers init`: a commented file that becomes valid when the required answers are filled in.

use crate::config::answers::{ROWS, Row, Shape};

/// The template with empty required answers; the others are comments with their defaults.
pub fn template() -> String {
    let mut text = String::from(
        "# Answers for `tailwatch install --answers FILE --yes`. Keys without a value are required; comments\n\
         # show the defaults. Secrets are never in this file, only their sources.\n",
    );
    let mut open: Vec<&str> = Vec::new();
    for row in ROWS {
        let path: Vec<&str> = row.key.split('.').collect();
        let (name, parents) = path.split_last().unwrap_or((&"", &[]));
        for (depth, parent) in parents.iter().enumerate() {
            if open.get(depth) != Some(parent) {
                open.truncate(depth);
                open.push(parent);
                text.push_str(&format!("{}{parent}:\n", "  ".repeat(depth)));
            }
        }
        open.truncate(parents.len());
        let indent = "  ".repeat(parents.len());
        text.push_str(&format!("{indent}# {}\n{indent}{}\n", row.help, line(row, name)));
    }
    text.push_str("# Chart versions other than the built-in ones.\n# versions: { loki: 6.46.0 }\n");
    text.push_str("# Values files, relative to this file, merged in order.\n# valuesFiles: { loki: [loki.yaml] }\n");
    text.push_str("# Merged last into a chart's values.\n# values: { loki: { singleBinary: { resources: {} } } }\n");
    text
}

fn line(row: &Row, name: &str) -> String {
    let list = |default: &str| format!("[{}]", default.replace(',', ", "));
    match (row.default, row.shape) {
        _ if row.key == "version" => format!("{name}: 1"),
        _ if row.key == "auth0.clientSecret" => format!("{name}: {}", row.example),
        (Some(default), Shape::List) => format!("# {name}: {}", list(default)),
        (Some(default), _) => format!("# {name}: {default}"),
        (None, _) if row.required => format!("{name}:            # for example {}", row.example),
        (None, _) => format!("# {name}: {}", row.example),
    }
}
