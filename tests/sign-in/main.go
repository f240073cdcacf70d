// A person with a browser: opens an address in a headless Chromium, signs in where it is asked to, and prints what the
// browser ends on: the status, the address without its query, and the heading.
//
//	sign-in -as member@acme.example https://grafana.tail1a2b.ts.net/ acme.eu.auth0.com
//
// The hosts behind the address are where the browser is sent on the way. The environment names the proxy (HTTPS_PROXY) and whom to trust (SSL_CERT_FILE), as for every other program.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// patience with one sign-in.
const patience = 60 * time.Second

func main() {
	person := flag.String("as", "", "email address of who signs in")
	flag.Parse()
	if *person == "" || flag.NArg() < 1 {
		fmt.Fprintln(os.Stderr, "usage: sign-in -as EMAIL URL [HOST...]")
		os.Exit(2)
	}
	end, err := signIn(*person, flag.Arg(0), flag.Args()[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	fmt.Println(end)
}

// signIn gives what the browser ends on.
func signIn(person, address string, hosts []string) (string, error) {
	asked, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	proxy := os.Getenv("HTTPS_PROXY")
	pins, err := trusted(proxy, append(hosts, asked.Host))
	if err != nil {
		return "", err
	}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	profile, err := os.MkdirTemp("", "sign-in-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(profile)
	ctx, stop = chromedp.NewExecAllocator(ctx, options(profile, proxy, pins)...)
	defer stop()
	ctx, stop = chromedp.NewContext(ctx)
	defer stop()
	return walk(ctx, person, address)
}

func options(profile, proxy string, pins []string) []chromedp.ExecAllocatorOption {
	chosen := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.UserDataDir(profile), chromedp.DisableGPU)
	if proxy != "" {
		chosen = append(chosen, chromedp.ProxyServer(proxy))
	}
	// Chromium asks no file whom to trust; these keys were verified against it a moment ago.
	chosen = append(chosen, chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join(pins, ",")))
	if os.Getuid() == 0 {
		// Chromium refuses to run its own sandbox as root.
		chosen = append(chosen, chromedp.NoSandbox)
	}
	return chosen
}

func walk(ctx context.Context, person, address string) (string, error) {
	form, err := chromedp.RunResponse(ctx, chromedp.Navigate(address))
	if err != nil {
		return "", fmt.Errorf("open %s: %w", address, err)
	}
	if form.Status != 200 {
		return "", fmt.Errorf("%s answers %d where a login form was expected", form.URL, form.Status)
	}
	end, err := chromedp.RunResponse(ctx,
		chromedp.SendKeys(chromedp.CSS(`input[name="username"]`), person),
		chromedp.SendKeys(chromedp.CSS(`input[name="password"]`), "any"),
		chromedp.Click(chromedp.CSS(`button[value="confirm"]`)),
	)
	if err != nil {
		return "", fmt.Errorf("sign in at %s: %w", form.URL, err)
	}
	return told(ctx, end)
}

// told is `200 https://grafana.tail1a2b.ts.net/ Grafana`.
func told(ctx context.Context, end *network.Response) (string, error) {
	read := `(document.querySelector("h1") ?? document.querySelector("title"))?.textContent ?? ""`
	heading, err := chromedp.Run(ctx, chromedp.Evaluate[string](read))
	if err != nil {
		return "", err
	}
	where, _, _ := strings.Cut(end.URL, "?")
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", end.Status, where, strings.Join(strings.Fields(heading), " "))), nil
}
