//! Signing in, through the tailnet's front door, the real oauth2-proxy and a real OpenID provider.

use crate::browser::Browser;
use crate::support::Sandbox;

const GRAFANA: &str = "https://grafana.tail1a2b.ts.net/";

#[test]
fn the_door_lets_in_the_groups_that_were_asked_for_and_nobody_else() {
    let sandbox = Sandbox::up(&["--nodes", "1"]);
    sandbox.install(&[]).ended_with(0);
    for (who, status, shown) in [
        ("member@acme.example", 200, "Grafana"),
        ("admin@acme.example", 200, "Grafana"),
        ("outsider@acme.example", 403, "Forbidden"),
        ("unclaimed@acme.example", 403, "Forbidden"),
        ("unverified@acme.example", 500, "Internal Server Error"),
    ] {
        let browser = Browser::new(&sandbox);
        let page = browser.open_as(who, GRAFANA);
        assert!(page.status == status && page.body.contains(shown), "{who}: {page:?}");
        // Who is in stays in, and who is not is asked again.
        let again = browser.open(GRAFANA, &[]);
        assert_eq!(again.status, status, "{who}: {again:?}");
    }
}
