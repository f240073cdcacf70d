//! The type of a scalar as in helm's YAML library: a port of `resolve` of go.yaml.in/yaml/v2 (resolve.go,
//! v2.4), which sigs.k8s.io/yaml v1.6 uses for helm 3.19 and helm 4.2. It reads YAML 1.1: `yes`, `on`, `0644`.

/// A scalar with its type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Integer(i64),
    /// Above the largest `i64`.
    Unsigned(u64),
    /// May be infinite or no number.
    Float(f64),
    Text(String),
}

impl Scalar {
    fn kind(&self) -> Kind {
        match self {
            Scalar::Null => Kind::Null,
            Scalar::Bool(_) => Kind::Bool,
            Scalar::Integer(_) | Scalar::Unsigned(_) => Kind::Integer,
            Scalar::Float(_) => Kind::Float,
            Scalar::Text(_) => Kind::Text,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    Integer,
    Float,
    Text,
}

const TRUE: [&str; 11] = ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"];
const FALSE: [&str; 11] = ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"];
const NULL: [&str; 5] = ["", "~", "null", "Null", "NULL"];
const NOT_A_NUMBER: [&str; 3] = [".nan", ".NaN", ".NAN"];
const INFINITE: [&str; 6] = [".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"];
const NEGATIVE_INFINITE: [&str; 3] = ["-.inf", "-.Inf", "-.INF"];

/// A plain scalar without a tag.
pub(super) fn plain(text: &str) -> Scalar {
    let known = |texts: &[&str]| texts.contains(&text);
    if known(&TRUE) {
        return Scalar::Bool(true);
    }
    if known(&FALSE) {
        return Scalar::Bool(false);
    }
    if known(&NULL) {
        return Scalar::Null;
    }
    if known(&NOT_A_NUMBER) {
        return Scalar::Float(f64::NAN);
    }
    if known(&INFINITE) {
        return Scalar::Float(f64::INFINITY);
    }
    if known(&NEGATIVE_INFINITE) {
        return Scalar::Float(f64::NEG_INFINITY);
    }
    let number = match text.as_bytes().first() {
        Some(b'.') => dotted_float(text).map(Scalar::Float),
        Some(b'0'..=b'9' | b'+' | b'-') => number(&text.replace('_', "")),
        _ => None,
    };
    number.unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

/// A scalar with a core tag's name (`str`, `int`, …). `None`: the library rejects it.
pub(super) fn tagged(tag: &str, text: &str) -> Option<Scalar> {
    let expected = match tag {
        "str" => return Some(Scalar::Text(text.to_owned())),
        "binary" => return binary(text).map(Scalar::Text),
        "bool" => Kind::Bool,
        "int" => Kind::Integer,
        "float" => Kind::Float,
        "null" => Kind::Null,
        "timestamp" => return is_timestamp(text).then(|| Scalar::Text(text.to_owned())),
        // The library ignores unknown tags.
        _ => return Some(Scalar::Text(text.to_owned())),
    };
    match plain(text) {
        Scalar::Integer(number) if expected == Kind::Float => Some(Scalar::Float(number as f64)),
        scalar => (scalar.kind() == expected).then_some(scalar),
    }
}

/// `text` without underscores.
fn number(text: &str) -> Option<Scalar> {
    if let Some(number) = signed(text, 0) {
        return Some(Scalar::Integer(number));
    }
    if let Some(number) = unsigned(text, 0) {
        return Some(Scalar::Unsigned(number));
    }
    if is_float(text)
        && let Some(float) = finite(text)
    {
        return Some(Scalar::Float(float));
    }
    let rest = text.strip_prefix("0b")?;
    signed(rest, 2).map(Scalar::Integer)
}

/// Go's `strconv.ParseInt(text, base, 64)`; base 0 is detected by the prefix, and a leading `0` means octal.
fn signed(text: &str, base: u32) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let number = unsigned(digits, base)?;
    if negative { 0_i64.checked_sub_unsigned(number) } else { i64::try_from(number).ok() }
}

/// Go's `strconv.ParseUint(text, base, 64)`.
fn unsigned(text: &str, base: u32) -> Option<u64> {
    let (base, digits) = match (base, text.as_bytes()) {
        (0, [b'0', b'b' | b'B', _, ..]) => (2, &text[2..]),
        (0, [b'0', b'o' | b'O', _, ..]) => (8, &text[2..]),
        (0, [b'0', b'x' | b'X', _, ..]) => (16, &text[2..]),
        (0, b"0") => (10, text),
        (0, [b'0', ..]) => (8, &text[1..]),
        (0, _) => (10, text),
        (base, _) => (base, text),
    };
    // Rust accepts a sign here, Go does not.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(digits, base).ok()
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if whole == 0 && count == 0 {
            return false;
        }
        rest = &fraction[count..];
    } else if whole == 0 {
        return false;
    }
    let Some(exponent) = rest.strip_prefix(['e', 'E']) else { return rest.is_empty() };
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    !exponent.is_empty() && digits(exponent) == exponent.len()
}

/// A float with a leading dot, as `strconv.ParseFloat` reads it, with underscores between digits.
fn dotted_float(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let between = |at: usize| is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
    if bytes.windows(2).any(|pair| pair == b"__")
        || bytes.iter().enumerate().any(|(at, byte)| *byte == b'_' && !between(at))
    {
        return None;
    }
    let digits = text.replace('_', "");
    if is_float(&digits) { finite(&digits) } else { None }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Base64 with padding; bytes that are no UTF-8 become U+FFFD each, as Go's encoding/json writes them.
fn binary(text: &str) -> Option<String> {
    use base64::Engine as _;
    let compact: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(compact).ok()?;
    let mut decoded = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        decoded.push_str(chunk.valid());
        decoded.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Some(decoded)
}

/// The library accepts some forms of RFC 3339; the value stays the text.
fn is_timestamp(text: &str) -> bool {
    let year = text.bytes().take_while(u8::is_ascii_digit).count();
    year == 4 && text[year..].starts_with('-')
}

/// A float as a mapping's key: `strconv.FormatFloat(number, 'g', -1, 32)` of sigs.k8s.io/yaml.
pub(super) fn float_key(number: f64) -> String {
    if number.is_nan() {
        return ".nan".into();
    }
    let narrow = number as f32;
    if narrow.is_infinite() {
        return if narrow > 0.0 { ".inf".into() } else { "-.inf".into() };
    }
    let scientific = format!("{narrow:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(-4..6) => narrow.to_string(),
        Ok(exponent) => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
        Err(_) => scientific,
    }
}
