//! Inputs made of a corpus: bytes flipped, slices repeated, removed and swapped, hostile tokens inserted. The same number
//! gives the same input.

use std::ops::Range;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// Bytes of an input.
const LONGEST: usize = 4 << 10;

/// Of so many inputs one has a bomb: each is expanded up to the limit.
const BOMBS: u64 = 1000;

/// The input of a number.
pub(super) fn input(corpus: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut random = SmallRng::seed_from_u64(number);
    let mut bytes = corpus.choose(&mut random).cloned().unwrap_or_default();
    if number.is_multiple_of(BOMBS) {
        let at = random.random_range(0..=bytes.len());
        bytes.splice(at..at, bomb(&mut random));
    }
    for _ in 0..random.random_range(1..=4) {
        mutate(&mut bytes, corpus, &mut random);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut SmallRng) {
    let slice = slice(bytes, random);
    match random.random_range(0..10) {
        0 => bytes.truncate(slice.start),
        1 => drop(bytes.drain(slice)),
        2 => {
            let repeated = bytes[slice.clone()].repeat(random.random_range(1..=64));
            drop(bytes.splice(slice.end..slice.end, repeated));
        }
        3 => {
            let other = corpus.choose(random).cloned().unwrap_or_default();
            bytes.splice(slice.start.., other[other.len().min(slice.end)..].to_vec());
        }
        4 | 5 => bytes[slice].iter_mut().take(4).for_each(|byte| *byte ^= 1 << random.random_range(0..8)),
        6 => drop(bytes.splice(slice.start..slice.start, token(random))),
        7 => drop(bytes.splice(slice, token(random))),
        _ => drop(bytes.splice(word(bytes, slice.start), token(random))),
    }
}

/// A short slice of the input, may be empty.
fn slice(bytes: &[u8], random: &mut SmallRng) -> Range<usize> {
    let start = random.random_range(0..=bytes.len());
    start..(start + random.random_range(0..=64)).min(bytes.len())
}

/// The word or number at a place.
fn word(bytes: &[u8], at: usize) -> Range<usize> {
    let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let before = bytes[..at].iter().rev().take_while(is_word).count();
    at - before..at + bytes[at..].iter().take_while(is_word).count()
}

fn token(random: &mut SmallRng) -> Vec<u8> {
    let count = random.random_range(1..=400);
    match random.random_range(0..7) {
        0 => NESTED.choose(random).map(|token| token.repeat(count)).unwrap_or_default().into(),
        1 => DIGITS.choose(random).map(|token| token.repeat(count)).unwrap_or_default().into(),
        2 => vec![random.random(); random.random_range(1..=8)],
        _ => TOKENS.choose(random).map(|token| token.to_vec()).unwrap_or_default(),
    }
}

/// Anchors of lists and mappings that double or multiply with each level.
fn bomb(random: &mut SmallRng) -> Vec<u8> {
    let (mut text, width) = (String::from("\na0: &a0 [x, y]\n"), random.random_range(2..=12));
    for level in 1..random.random_range(2..=24) {
        let inner = format!("*a{}", level - 1);
        let content = match random.random_range(0..3) {
            0 => format!("[{}]", vec![inner; width].join(", ")),
            1 => format!("{{ {} }}", (0..width).map(|key| format!("k{key}: {inner}")).collect::<Vec<_>>().join(", ")),
            _ => format!("{{ <<: {inner}, k: {inner} }}"),
        };
        text += &format!("a{level}: &a{level} {content}\n");
    }
    text.into_bytes()
}

const NESTED: [&str; 8] = ["[", "{", "{\"a\":", "- ", "? ", "[{", "!!map ", "a: {"];
const DIGITS: [&str; 5] = ["9", "0", "1_", "-", "1e"];
const TOKENS: [&[u8]; 48] = [
    b"null",
    b"true",
    b"0",
    b"-1",
    b"-0.0",
    b"1e400",
    b"-1e-400",
    b"1e999999999",
    b"1E-1000",
    b"0x7fffffffffffffff",
    b"2147483648",
    b"-2147483649",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9007199254740993.5",
    b".nan",
    b"-.inf",
    b"[]",
    b"{}",
    b"\"\"",
    b"\"\\ud800\"",
    b"\"\\u0000\"",
    b"9999-12-31T23:59:59.999999999Z",
    b"-009999-01-02T01:59:59Z",
    b"2026-01-01T24:00:60+99:99",
    b"\0",
    b"\r\n",
    b"\t",
    b"\n---\n",
    b"\n...\n",
    b"%YAML 9.9\n---\n",
    b"&a *a",
    b"<<: *a",
    b"!!binary ",
    b"!!float ",
    b"? ",
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    "\u{feff}".as_bytes(),
    "\u{202e}\u{2066}".as_bytes(),
    "\u{e0041}\u{200d}".as_bytes(),
    b"\x1b]0;title\x07\x1b[2J",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
];
