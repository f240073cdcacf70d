//! Every target: the parser with the name of the binary.

#![no_main]

use std::sync::LazyLock;

static PARSER: LazyLock<tailwatch::fuzzing::Parse> = LazyLock::new(|| {
    let mut parsers = tailwatch::fuzzing::parsers();
    parsers.find(|(name, _)| *name == env!("CARGO_BIN_NAME")).expect("a parser of this name").1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| PARSER(bytes));
