//! The pure functions that see many objects, with inputs of two sizes, the larger four times the smaller: the durations of a
//! linear function differ by that factor. Only tests and `benches/` have this module.

use serde_json::{Value, json};

use crate::{cluster, plan, yaml};

/// Calls the function once; how much it found.
pub type Call = Box<dyn FnMut() -> usize>;

/// The name of a function and of what it sees; how many of them its inputs have; the call with an input of that size.
pub type Benchmark = (&'static str, [usize; 2], fn(usize) -> Call);

/// Every benchmark.
pub fn benchmarks() -> impl Iterator<Item = Benchmark> {
    const YAML: &[Benchmark] = &[("merge-of-values", [2_500, 10_000], merge)];
    [cluster::benchmarks::BENCHMARKS, plan::benchmarks::BENCHMARKS, YAML].into_iter().flatten().copied()
}

/// Values with this number of leaves, in groups of ten.
fn values(leaves: usize) -> Value {
    let group = |group: usize| {
        let keys = (0..10).map(|key| (format!("key{key}"), json!(format!("value {group} {key}"))));
        (format!("group{group}"), Value::Object(keys.collect()))
    };
    Value::Object((0..leaves / 10).map(group).collect())
}

/// A copy of the values, and half as many over them.
fn merge(leaves: usize) -> Call {
    let (base, over) = (values(leaves), values(leaves / 2));
    Box::new(move || {
        let mut merged = base.clone();
        yaml::merge(&mut merged, &over);
        merged.as_object().map_or(0, serde_json::Map::len)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_benchmark_finds_something_and_more_in_the_larger_input() {
        for (name, [small, large], prepare) in benchmarks() {
            assert_eq!(large, 4 * small, "{name}");
            let [few, many] = [small / 50, small].map(|size| prepare(size)());
            assert!(0 < few && few < many, "{name}: {few}, {many}");
        }
    }
}
