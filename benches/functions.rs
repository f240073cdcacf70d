//! `cargo bench --features benchmarks --bench functions`: the duration of every pure function that sees many objects.

#![allow(missing_docs)]

use divan::Bencher;
use tailwatch::benchmarks::{Call, benchmarks};

fn main() {
    divan::main();
}

/// A function with an input of one size.
struct Input {
    name: &'static str,
    size: usize,
    prepare: fn(usize) -> Call,
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.size)
    }
}

fn inputs() -> impl Iterator<Item = Input> {
    benchmarks().flat_map(|(name, sizes, prepare)| sizes.map(|size| Input { name, size, prepare }))
}

#[divan::bench(args = inputs())]
fn functions(bencher: Bencher<'_, '_>, input: &Input) {
    bencher.bench_local((input.prepare)(input.size));
}
