//! The data path as inline SVG, for wide and for narrow pages. Stroke, mark and label show a hop's state; colour never
//! carries the only meaning.

use maud::{Markup, html};

use crate::event::{CheckResult, Hop};
use crate::report::data_path::{HopState, states};

/// Left, top, width and height.
type Frame = [i32; 4];

/// Positions of the parts and the hops.
struct Layout {
    class: &'static str,
    size: (i32, i32),
    captions: [(&'static str, i32, i32); 3],
    parts: [(&'static str, Frame); 11],
    /// From (x, y) and to (x, y), horizontal or vertical, and the position of the mark in percent of the length.
    edges: [(Hop, [i32; 4], i32); 10],
}

const CAPTIONS: [&str; 3] = ["logs", "metrics", "sign-in"];

/// Three rows that end in Grafana.
const BROAD: Layout = Layout {
    class: "diagram broad",
    size: (880, 384),
    captions: [(CAPTIONS[0], 8, 16), (CAPTIONS[1], 8, 116), (CAPTIONS[2], 8, 316)],
    parts: [
        ("pods", [8, 28, 144, 44]),
        ("Alloy", [240, 28, 144, 44]),
        ("Loki", [472, 28, 144, 44]),
        ("Grafana", [728, 28, 144, 344]),
        ("targets", [8, 128, 144, 44]),
        ("Prometheus", [240, 128, 144, 44]),
        ("Alertmanager", [240, 228, 144, 44]),
        ("browser", [8, 328, 144, 44]),
        ("tailnet", [240, 328, 144, 44]),
        ("oauth2-proxy", [472, 328, 144, 44]),
        ("identity provider", [472, 228, 144, 44]),
    ],
    edges: [
        (Hop::PodsAlloy, [152, 50, 240, 50], 50),
        (Hop::AlloyLoki, [384, 50, 472, 50], 50),
        (Hop::LokiGrafana, [616, 50, 728, 50], 50),
        (Hop::TargetsPrometheus, [152, 150, 240, 150], 50),
        (Hop::PrometheusAlertmanager, [312, 172, 312, 228], 45),
        (Hop::PrometheusGrafana, [384, 150, 728, 150], 50),
        (Hop::BrowserTailnet, [152, 350, 240, 350], 50),
        (Hop::TailnetOauth2Proxy, [384, 350, 472, 350], 50),
        (Hop::Oauth2ProxyIssuer, [544, 328, 544, 272], 45),
        (Hop::Oauth2ProxyGrafana, [616, 350, 728, 350], 50),
    ],
};

/// Three columns that end in Grafana.
const NARROW: Layout = Layout {
    class: "diagram narrow",
    size: (360, 396),
    captions: [(CAPTIONS[0], 4, 9), (CAPTIONS[1], 124, 9), (CAPTIONS[2], 244, 9)],
    parts: [
        ("pods", [4, 22, 112, 36]),
        ("Alloy", [4, 104, 112, 36]),
        ("Loki", [4, 186, 112, 36]),
        ("Grafana", [4, 350, 352, 36]),
        ("targets", [124, 22, 112, 36]),
        ("Prometheus", [124, 104, 112, 36]),
        ("Alertmanager", [146, 186, 90, 36]),
        ("browser", [244, 22, 112, 36]),
        ("tailnet", [244, 104, 112, 36]),
        ("oauth2-proxy", [244, 186, 112, 36]),
        ("identity provider", [272, 268, 84, 36]),
    ],
    edges: [
        (Hop::PodsAlloy, [60, 58, 60, 104], 45),
        (Hop::AlloyLoki, [60, 140, 60, 186], 45),
        (Hop::LokiGrafana, [60, 222, 60, 350], 50),
        (Hop::TargetsPrometheus, [180, 58, 180, 104], 45),
        (Hop::PrometheusAlertmanager, [191, 140, 191, 186], 45),
        (Hop::PrometheusGrafana, [135, 140, 135, 350], 70),
        (Hop::BrowserTailnet, [300, 58, 300, 104], 45),
        (Hop::TailnetOauth2Proxy, [300, 140, 300, 186], 45),
        (Hop::Oauth2ProxyIssuer, [314, 222, 314, 268], 45),
        (Hop::Oauth2ProxyGrafana, [257, 222, 257, 350], 78),
    ],
};

/// Both layouts, of which CSS shows one, and the list of the hops.
pub(super) fn diagram(checks: &[CheckResult]) -> Markup {
    let states = states(checks);
    let reported: Vec<String> =
        states.iter().map(|(hop, state)| format!("{} {}", hop.title(), state.label())).collect();
    let reported = format!("The data path: {}", reported.join("; "));
    html! {
        (drawn(&BROAD, &states, &reported))
        (drawn(&NARROW, &states, &reported))
        ul.hops {
            @for (hop, state) in states {
                li { (hop.title()) ": " span.verdict.(tone(state)) { (state.label()) } }
            }
        }
    }
}

fn tone(state: HopState) -> &'static str {
    match state {
        HopState::Proven => "good",
        HopState::Broken => "bad",
        HopState::Unproven | HopState::NotTested => "plain",
    }
}

fn drawn(layout: &Layout, states: &[(Hop, HopState)], reported: &str) -> Markup {
    let (width, height) = layout.size;
    html! {
        svg class=(layout.class) viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(reported) {
            @for (text, x, y) in &layout.captions {
                text.caption x=(x) y=(y) { (text) }
            }
            @for (name, frame) in &layout.parts {
                (part(name, *frame))
            }
            @for (hop, ends, at) in &layout.edges {
                @if let Some((_, state)) = states.iter().find(|(known, _)| known == hop) {
                    (edge(*ends, *at, *state))
                }
            }
        }
    }
}

/// In a small box a name of two words has two lines.
fn part(name: &str, [x, y, width, height]: Frame) -> Markup {
    let (middle, centre) = (x + width / 2, y + height / 2);
    html! {
        rect x=(x) y=(y) width=(width) height=(height) rx="6" {}
        @match name.split_once(' ').filter(|_| width < 100) {
            Some((first, second)) => {
                text x=(middle) y=(centre - 7) { (first) }
                text x=(middle) y=(centre + 7) { (second) }
            }
            None => { text x=(middle) y=(centre) { (name) } }
        }
    }
}

/// Length of an arrow's head.
const HEAD: i32 = 10;

fn edge([x1, y1, x2, y2]: [i32; 4], at: i32, state: HopState) -> Markup {
    let (dx, dy) = ((x2 - x1).signum(), (y2 - y1).signum());
    let (back_x, back_y) = (x2 - dx * HEAD, y2 - dy * HEAD);
    let (side_x, side_y) = (dy * HEAD / 2, dx * HEAD / 2);
    let head = format!("M{x2} {y2}L{} {}L{} {}Z", back_x + side_x, back_y + side_y, back_x - side_x, back_y - side_y);
    let (x, y) = (x1 + (x2 - x1) * at / 100, y1 + (y2 - y1) * at / 100);
    let class = state.label().replace(' ', "-");
    html! {
        g.edge.(class) {
            path.line d=(format!("M{x1} {y1}L{back_x} {back_y}")) {}
            path.head d=(head) {}
            (mark(x, y, state))
            @if state == HopState::Broken {
                @if dx == 0 {
                    text.right x=(x + 14) y=(y) { (state.label()) }
                } @else {
                    text x=(x) y=(y - 20) { (state.label()) }
                }
            }
        }
    }
}

fn mark(x: i32, y: i32, state: HopState) -> Markup {
    html! {
        @match state {
            HopState::Proven => {
                circle cx=(x) cy=(y) r="9" {}
                path d=(format!("M{} {}l3 4l6 -8", x - 5, y + 1)) {}
            }
            HopState::Broken => {
                circle cx=(x) cy=(y) r="10" {}
                path d=(format!("M{} {}l8 8m0 -8l-8 8", x - 4, y - 4)) {}
            }
            HopState::Unproven => {
                circle cx=(x) cy=(y) r="9" {}
                text x=(x) y=(y) { "?" }
            }
            HopState::NotTested => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches an edge that was moved without its part.
    #[test]
    fn every_edge_begins_and_ends_at_its_parts() {
        for layout in [BROAD, NARROW] {
            let touches = |name: &str, x: i32, y: i32| {
                let (_, [left, top, width, height]) = layout.parts.iter().find(|(part, _)| *part == name).unwrap();
                let (inside_x, inside_y) = ((*left..=left + width).contains(&x), (*top..=top + height).contains(&y));
                let on_edge = x == *left || x == left + width || y == *top || y == top + height;
                inside_x && inside_y && on_edge
            };
            for (hop, [x1, y1, x2, y2], _) in layout.edges {
                let (from, to) = hop.ends();
                assert!(touches(from, x1, y1) && touches(to, x2, y2), "{}: {hop:?}", layout.class);
                assert!((x1 == x2) != (y1 == y2), "{}: {hop:?}", layout.class);
            }
            assert_eq!(layout.edges.map(|(hop, ..)| hop), Hop::ALL);
        }
    }
}
