//! Cuts, wraps and sanitises text for terminals; formats durations and times.

use std::borrow::Cow;

use jiff::fmt::friendly::{FractionalUnit, SpanPrinter};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRound, Timestamp, Unit};

use crate::foreign_text::push_visible;

/// The current time and its zone.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    pub(super) now: Timestamp,
    pub(super) zone: TimeZone,
}

impl Clock {
    pub(super) fn local() -> Clock {
        Clock { now: Timestamp::now(), zone: TimeZone::system() }
    }

    /// `14:03:12, for 2m 5s`, with the date unless it is today.
    pub(super) fn since(&self, begin: Timestamp) -> String {
        let [begin_there, now_there] = [begin, self.now].map(|time| time.to_zoned(self.zone.clone()));
        let format = if begin_there.date() == now_there.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        format!("{}, for {}", begin_there.strftime(format), whole(self.now.duration_since(begin)))
    }
}

/// `2m 5s`; without seconds above an hour.
pub(super) fn whole(duration: SignedDuration) -> String {
    let duration = duration.max(SignedDuration::ZERO);
    let smallest = if duration.as_hours() > 0 { Unit::Minute } else { Unit::Second };
    let round = SpanRound::new().largest(Unit::Day).smallest(smallest).mode(jiff::RoundMode::Trunc).days_are_24_hours();
    let span = Span::try_from(duration).and_then(|span| span.round(round)).unwrap_or_default();
    SpanPrinter::new().span_to_string(&span)
}

/// `5.1s`; from ten seconds as [`whole`].
pub fn took(seconds: f64) -> String {
    let duration = SignedDuration::try_from_secs_f64(seconds).unwrap_or_default();
    if duration.as_secs() >= 10 {
        return whole(duration);
    }
    SpanPrinter::new().fractional(Some(FractionalUnit::Second)).precision(Some(1)).duration_to_string(&duration)
}

/// With a capital first letter.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Without escapes and control characters; a tab becomes a space, an invisible character its number.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let plain = console::strip_ansi_codes(text);
    let visible = plain.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control());
    visible.for_each(|c| push_visible(c, &mut shown));
    shown
}

/// The same on one line, with single spaces.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    harmless(&words.join(" "))
}

/// Cuts to the width with an ellipsis; colour codes are kept.
pub(super) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    // A width of 0 has no column for the ellipsis.
    console::truncate_str(text, width, if width == 0 { "" } else { "…" })
}

/// Wraps at spaces and indents all lines but the first. Keeps line breaks, and texts in backticks that fit on a line,
/// for copying.
pub fn wrap(text: &str, indent: &str, width: usize) -> String {
    let options = textwrap::Options::new(width).subsequent_indent(indent).break_words(false);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    let parts: Vec<&str> = text.split('`').collect();
    let whole = |at: usize, part: &str| {
        let quoted = at % 2 == 1 && at + 1 < parts.len();
        quoted && indent.len() + console::measure_text_width(part) + "``,".len() <= width
    };
    let part = |(at, part): (usize, &&str)| {
        if whole(at, part) { part.replace(' ', UNBROKEN) } else { (*part).to_owned() }
    };
    let kept: Vec<String> = parts.iter().enumerate().map(part).collect();
    textwrap::fill(&kept.join("`"), options).replace(UNBROKEN, " ")
}

/// The no-break space.
pub(super) const UNBROKEN: &str = "\u{a0}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_never_negative() {
        for (seconds, short, exact) in [
            (0.0, "0s", "0.0s"),
            (5.149, "5s", "5.1s"),
            (59.9, "59s", "59s"),
            (125.0, "2m 5s", "2m 5s"),
            (3725.0, "1h 2m", "1h 2m"),
            (93_600.0, "1d 2h", "1d 2h"),
            (-3.0, "0s", "0.0s"),
        ] {
            assert_eq!(whole(SignedDuration::from_secs_f64(seconds)), short);
            assert_eq!(took(f64::max(seconds, 0.0)), exact);
        }
    }

    #[test]
    fn since_reports_the_date_of_another_day() {
        let now = "2026-11-24T14:05:17Z".parse().unwrap();
        let clock = Clock { now, zone: TimeZone::UTC };
        assert_eq!(clock.since("2026-11-24T14:03:12Z".parse().unwrap()), "14:03:12, for 2m 5s");
        assert_eq!(clock.since("2026-11-23T14:03:12Z".parse().unwrap()), "2026-11-23 14:03:12, for 1d 2m");
    }

    #[test]
    fn escapes_and_control_characters_are_removed() {
        let hostile = "\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}\r\nnext\tline\u{8}\u{9b}2J";
        assert_eq!(one_line(hostile), "red next line");
        assert!(!harmless(hostile).contains(char::is_control), "{:?}", harmless(hostile));
    }

    #[test]
    fn a_command_in_backticks_is_not_wrapped() {
        let text = "inspect it with `kubectl -n monitoring describe pod loki-0` and fix it";
        let wrapped = wrap(text, "  ", 46);
        assert_eq!(wrapped, "inspect it with\n  `kubectl -n monitoring describe pod loki-0`\n  and fix it");
        assert_eq!(wrap("an odd ` stays odd", "", 9), "an odd `\nstays odd");
        assert_eq!(wrap("run `a command too long` now", "", 15), "run `a command\ntoo long` now");
    }
}
