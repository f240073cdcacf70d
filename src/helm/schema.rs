//! Value paths that a chart's `values.schema.json` rejects, parsed from helm's stderr. Pure.

/// Paths from the root of the values. `reported` is helm's stderr with `; ` between its lines: under the name of each
/// chart, helm since 3.18 prints `- at '/a/b': additional properties 'c' not allowed` (JSON pointers of santhosh-tekuri's
/// jsonschema), helm before it `- a.b: Additional property c is not allowed` (paths of gojsonschema, `(root)` for none).
pub(super) fn rejected_paths(reported: &str, chart: &str) -> Vec<Vec<String>> {
    let mut paths: Vec<Vec<String>> = Vec::new();
    let mut section = Vec::new();
    for line in reported.split("; ").map(str::trim) {
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.contains(' ')) {
            section = if name == chart { Vec::new() } else { vec![name.to_owned()] };
        }
        let Some(text) = line.strip_prefix("- ") else { continue };
        let read = pointed(text).or_else(|| dotted(text));
        paths.extend(read.into_iter().flatten().map(|path| [section.clone(), path].concat()));
    }
    // Each error is also reported at all levels above it.
    let whole = paths.clone();
    paths.retain(|path| !whole.iter().any(|other| other.len() > path.len() && other.starts_with(path)));
    paths.sort();
    paths.dedup();
    paths
}

fn pointed(text: &str) -> Option<Vec<Vec<String>>> {
    let (pointer, reason) = text.strip_prefix("at '")?.split_once("':")?;
    let unescaped = |part: &str| part.replace("~1", "/").replace("~0", "~");
    let parent: Vec<String> = pointer.split('/').skip(1).map(unescaped).collect();
    let Some(names) = reason.trim().strip_prefix("additional properties ") else { return Some(vec![parent]) };
    let names = names.split('\'').skip(1).step_by(2);
    Some(names.map(|name| with(&parent, name)).collect())
}

fn dotted(text: &str) -> Option<Vec<Vec<String>>> {
    let (path, reason) = text.split_once(": ")?;
    let parent: Vec<String> = path.split('.').filter(|part| *part != "(root)").map(str::to_owned).collect();
    let name = reason.strip_prefix("Additional property ").and_then(|rest| rest.strip_suffix(" is not allowed"));
    Some(vec![name.map_or_else(|| parent.clone(), |name| with(&parent, name))])
}

fn with(parent: &[String], name: &str) -> Vec<String> {
    [parent, &[name.to_owned()]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(reported: &str) -> Vec<String> {
        rejected_paths(reported, "loki").iter().map(|path| path.join("/")).collect()
    }

    #[test]
    fn the_messages_of_both_libraries_have_the_same_paths() {
        let new = "values don't meet the specifications of the schema(s) in the following chart(s):; loki:; - at \
            '/singleBinary': validation failed;   - at '/singleBinary/replicas': got string, want integer;   - at \
            '/singleBinary': additional properties 'replicaz', 'sise' not allowed; - at '': additional properties 'x.y' \
            not allowed; minio:; - at '/a~1b': got string, want object";
        assert_eq!(
            rejected(new),
            ["minio/a/b", "singleBinary/replicas", "singleBinary/replicaz", "singleBinary/sise", "x.y"]
        );
        let old = "values don't meet the specifications of the schema(s) in the following chart(s):; loki:; - (root): \
            Additional property singelBinary is not allowed; - singleBinary.replicas: Invalid type. Expected: integer, \
            given: string";
        assert_eq!(rejected(old), ["singelBinary", "singleBinary/replicas"]);
    }
}
