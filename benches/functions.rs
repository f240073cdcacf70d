//! `cargo bench --features benchmarks --bench functions`: the duration of every pure function that sees many objects.

#![allow(missing_docs)]

use divan::Bencher;
use tailwatch::benchmarks::{Benchmark, Call, benchmarks};

fn main() {
    divan::main();
}

/// A function with an input of one size.
struct Input {
    benchmark: Benchmark,
    size: usize,
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.benchmark.0, self.size)
    }
}

fn inputs() -> impl Iterator<Item = Input> {
    benchmarks().flat_map(|benchmark| benchmark.1.map(|size| Input { benchmark, size }))
}

#[divan::bench(args = inputs())]
fn functions(bencher: Bencher<'_, '_>, input: &Input) {
    let mut call: Call = (input.benchmark.2)(input.size);
    bencher.bench_local(move || call());
}
