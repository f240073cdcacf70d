// Command sign-in opens an address in a headless Chromium, signs in at the login form, and prints the last page: status,
// address without query, and heading.
//
//	sign-in -as member@acme.example https://grafana.tail1a2b.ts.net/ acme.eu.auth0.com
//
// The arguments after the address are the hosts of the redirects. HTTPS_PROXY and SSL_CERT_FILE apply.
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

// timeout of one sign-in.
const timeout = 60 * time.Second

func main() {
	user := flag.String("as", "", "email address of the user")
	flag.Parse()
	if *user == "" || flag.NArg() < 1 {
		fmt.Fprintln(os.Stderr, "usage: sign-in -as EMAIL URL [HOST...]")
		os.Exit(2)
	}
	end, err := signIn(*user, flag.Arg(0), flag.Args()[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	fmt.Println(end)
}

// signIn gives the last page of the browser.
func signIn(user, address string, hosts []string) (string, error) {
	asked, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	proxy := os.Getenv("HTTPS_PROXY")
	pins, err := trusted(proxy, append(hosts, asked.Host))
	if err != nil {
		return "", err
	}
	ctx, stop := context.WithTimeout(context.Background(), timeout)
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
	return submitLogin(ctx, user, address)
}

func options(profile, proxy string, pins []string) []chromedp.ExecAllocatorOption {
	chosen := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.UserDataDir(profile), chromedp.DisableGPU)
	if proxy != "" {
		chosen = append(chosen, chromedp.ProxyServer(proxy))
	}
	// Chromium does not read SSL_CERT_FILE; trusted has verified these keys against it.
	chosen = append(chosen, chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join(pins, ",")))
	if os.Getuid() == 0 {
		// Chromium refuses to run its own sandbox as root.
		chosen = append(chosen, chromedp.NoSandbox)
	}
	return chosen
}

func submitLogin(ctx context.Context, user, address string) (string, error) {
	form, err := chromedp.RunResponse(ctx, chromedp.Navigate(address))
	if err != nil {
		return "", fmt.Errorf("open %s: %w", address, err)
	}
	if form.Status != 200 {
		return "", fmt.Errorf("%s answers %d where a login form was expected", form.URL, form.Status)
	}
	end, err := chromedp.RunResponse(ctx,
		chromedp.SendKeys(chromedp.CSS(`input[name="username"]`), user),
		chromedp.SendKeys(chromedp.CSS(`input[name="password"]`), "any"),
		chromedp.Click(chromedp.CSS(`button[value="confirm"]`)),
	)
	if err != nil {
		return "", fmt.Errorf("sign in at %s: %w", form.URL, err)
	}
	return describe(ctx, end)
}

// describe gives `200 https://grafana.tail1a2b.ts.net/ Grafana`.
func describe(ctx context.Context, end *network.Response) (string, error) {
	read := `(document.querySelector("h1") ?? document.querySelector("title"))?.textContent ?? ""`
	heading, err := chromedp.Run(ctx, chromedp.Evaluate[string](read))
	if err != nil {
		return "", err
	}
	where, _, _ := strings.Cut(end.URL, "?")
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", end.Status, where, strings.Join(strings.Fields(heading), " "))), nil
}
