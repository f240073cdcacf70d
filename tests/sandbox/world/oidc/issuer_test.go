package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"tailwatch.dev/sandbox/world/sandbox"
)

const (
	base     = "https://" + sandbox.IssuerHost
	callback = "http://127.0.0.1:45321/callback"
	verifier = "a-verifier-of-at-least-forty-three-characters-length"
)

// browser asks the issuer in the same process, with a cookie jar of its own, and follows no redirect.
type browser struct {
	t      *testing.T
	issuer *issuer
	client http.Client
}

func (b *browser) RoundTrip(request *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	b.issuer.ServeHTTP(recorder, request)
	return recorder.Result(), nil
}

func newBrowser(t *testing.T, issuer *issuer) *browser {
	jar, _ := cookiejar.New(nil)
	b := &browser{t: t, issuer: issuer}
	b.client = http.Client{Jar: jar, Transport: b, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return b
}

func testIssuer(t *testing.T, fault *string) *issuer {
	issuer, err := New("right", func() string { return *fault })
	if err != nil {
		t.Fatal(err)
	}
	return issuer
}

type answer struct {
	status   int
	location *url.URL
	body     string
}

func (b *browser) read(response *http.Response, err error) answer {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	location, _ := response.Location()
	return answer{response.StatusCode, location, string(text)}
}

func (b *browser) get(path string) answer { return b.read(b.client.Get(base + path)) }

func (b *browser) post(path string, form url.Values) answer {
	return b.read(b.client.PostForm(base+path, form))
}

func (s answer) json(t *testing.T) map[string]any {
	t.Helper()
	value := map[string]any{}
	if err := json.Unmarshal([]byte(s.body), &value); err != nil {
		t.Fatalf("%v: %d %s", err, s.status, s.body)
	}
	return value
}

func authorization(more url.Values) string {
	digest := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"client_id": {sandbox.ClientID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile email"}, "state": {"S"},
		"nonce": {"N"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(digest[:])}, "code_challenge_method": {"S256"},
	}
	for key, values := range more {
		query[key] = values
	}
	return "/authorize?" + query.Encode()
}

// signIn gives the callback's URL.
func (b *browser) signIn(email string) *url.URL {
	b.t.Helper()
	form := b.get(authorization(nil))
	if page := b.get(form.location.RequestURI()); !strings.Contains(page.body, `name="username"`) {
		b.t.Fatal("no login form: " + page.body)
	}
	logged := b.post(form.location.RequestURI(), url.Values{"username": {email}, "password": {"x"}})
	if logged.location == nil {
		b.t.Fatalf("not logged in: %d %s", logged.status, logged.body)
	}
	return b.get(logged.location.RequestURI()).location
}

func exchange(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
		"client_id": {sandbox.ClientID}, "client_secret": {"right"},
	}
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return answer{body: string(text)}.json(t)
}

func TestDiscoveryDocumentIsThatOfAuth0(t *testing.T) {
	fault := ""
	document := newBrowser(t, testIssuer(t, &fault)).get("/.well-known/openid-configuration").json(t)
	for key, wanted := range map[string]any{
		"issuer": base + "/", "authorization_endpoint": base + "/authorize", "token_endpoint": base + "/oauth/token",
		"userinfo_endpoint": base + "/userinfo", "jwks_uri": base + "/.well-known/jwks.json",
		"device_authorization_endpoint": base + "/oauth/device/code", "response_types_supported": []any{"code"},
		"id_token_signing_alg_values_supported": []any{"RS256"}, "code_challenge_methods_supported": []any{"S256"},
	} {
		if !reflect.DeepEqual(document[key], wanted) {
			t.Errorf("%s is %v, not %v", key, document[key], wanted)
		}
	}
}

func TestSignInGivesTheClaimsOfAUser(t *testing.T) {
	for email, wanted := range map[string]any{
		"member@acme.example": []any{"monitoring-admins"}, "outsider@acme.example": []any{"staff"}, "unclaimed@acme.example": nil,
		"unverified@acme.example": []any{"monitoring-admins"},
	} {
		fault := ""
		b := newBrowser(t, testIssuer(t, &fault))
		back := b.signIn(email)
		if back.Host != "127.0.0.1:45321" || back.Query().Get("state") != "S" {
			t.Fatal(back)
		}
		tokens := b.post("/oauth/token", exchange(back.Query().Get("code"))).json(t)
		claims := claimsOf(t, tokens["id_token"].(string))
		if claims["iss"] != base+"/" || claims["nonce"] != "N" || claims["email"] != email || claims["name"] == nil {
			t.Errorf("%s: %v", email, claims)
		}
		if claims["email_verified"] != (email != "unverified@acme.example") || !reflect.DeepEqual(claims[sandbox.GroupsClaim], wanted) {
			t.Errorf("%s: %v", email, claims)
		}
		request, _ := http.NewRequest(http.MethodGet, base+"/userinfo", nil)
		request.Header.Set("Authorization", "Bearer "+tokens["access_token"].(string))
		if info := b.read(b.client.Do(request)).json(t); !reflect.DeepEqual(info[sandbox.GroupsClaim], wanted) || info["email"] != email {
			t.Errorf("userinfo of %s: %v", email, info)
		}
		if again := b.post("/oauth/token", exchange(back.Query().Get("code"))); again.status != 400 {
			t.Errorf("a code is good twice: %v", again)
		}
	}
}

func TestPromptNoneNeedsASession(t *testing.T) {
	fault := ""
	b := newBrowser(t, testIssuer(t, &fault))
	silently := authorization(url.Values{"prompt": {"none"}})
	if back := b.get(silently); back.status != 302 || back.location.Query().Get("error") != "login_required" || back.location.Host != "127.0.0.1:45321" {
		t.Fatal(back)
	}
	b.signIn("member@acme.example")
	started := b.get(silently)
	if back := b.get(b.get(started.location.RequestURI()).location.RequestURI()).location; back.Query().Get("code") == "" {
		t.Fatal(back)
	}
}

func TestClientErrorsAreShownOnTheTenantsPages(t *testing.T) {
	fault := ""
	b := newBrowser(t, testIssuer(t, &fault))
	for _, row := range []struct{ key, value, text string }{
		{"client_id", "other", "Unknown client"}, {"redirect_uri", "https://grafana.tail1a2b.ts.net/oauth2/callback/", "Callback URL mismatch"},
		{"redirect_uri", "http://127.0.0.1:80@evil.example/callback", "Callback URL mismatch"},
	} {
		answer := b.get(authorization(url.Values{row.key: {row.value}, "prompt": {"none"}}))
		if answer.status != 403 || answer.location != nil || !strings.Contains(answer.body, row.text) {
			t.Errorf("%s=%s: %v", row.key, row.value, answer)
		}
	}
	if known := b.get(authorization(url.Values{"redirect_uri": {"https://grafana.tail1a2b.ts.net/oauth2/callback"}})); known.status != 302 {
		t.Error(known)
	}
}

func TestTokenEndpointDistinguishesWrongSecretFromWrongCode(t *testing.T) {
	fault := ""
	b := newBrowser(t, testIssuer(t, &fault))
	for _, row := range []struct {
		secret, refusal string
		status          int
	}{{"right", "invalid_grant", 400}, {"wrong", "invalid_client", 401}} {
		form := exchange("bogus")
		form.Set("client_secret", row.secret)
		posted := b.post("/oauth/token", form)
		form.Del("client_secret")
		form.Del("client_id")
		request, _ := http.NewRequest(http.MethodPost, base+"/oauth/token", strings.NewReader(form.Encode()))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth(sandbox.ClientID, row.secret)
		for _, answer := range []answer{posted, b.read(b.client.Do(request))} {
			if answer.status != row.status || answer.json(t)["error"] != row.refusal {
				t.Errorf("%s: %v", row.secret, answer)
			}
		}
	}
	code := b.signIn("member@acme.example").Query().Get("code")
	for _, value := range []string{"", "another-verifier-of-at-least-forty-three-characters"} {
		form := exchange(code)
		form.Set("code_verifier", value)
		if answer := b.post("/oauth/token", form); answer.status != 400 {
			t.Errorf("verifier %q: %v", value, answer)
		}
	}
}

func TestDeviceIsConfirmedByItsCode(t *testing.T) {
	fault := ""
	b := newBrowser(t, testIssuer(t, &fault))
	client := url.Values{"client_id": {sandbox.ClientID}, "client_secret": {"right"}, "scope": {"openid email"}}
	for action, wanted := range map[string]string{"confirm": "", "deny": "access_denied"} {
		started := b.post("/oauth/device/code", client).json(t)
		poll := url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {started["device_code"].(string)},
			"client_id": {sandbox.ClientID}, "client_secret": {"right"},
		}
		if waiting := b.post("/oauth/token", poll).json(t); waiting["error"] != "authorization_pending" {
			t.Fatal(waiting)
		}
		page, _ := url.Parse(started["verification_uri_complete"].(string))
		code := page.Query().Get("user_code")
		if form := b.get(page.RequestURI()); !strings.Contains(form.body, code) {
			t.Fatal(form)
		}
		b.post(page.Path, url.Values{"user_code": {code}, "username": {"admin@acme.example"}, "password": {"x"}, "action": {action}})
		tokens := b.post("/oauth/token", poll).json(t)
		if wanted != "" {
			if tokens["error"] != wanted {
				t.Error(tokens)
			}
			continue
		}
		if claims := claimsOf(t, tokens["id_token"].(string)); !reflect.DeepEqual(claims[sandbox.GroupsClaim], []any{"infra-admins"}) {
			t.Error(claims)
		}
	}
}

// Each fault changes an answer at once, and its end brings back the answer before.
func TestFaultsChangeAnswersAndEnd(t *testing.T) {
	fault := ""
	issuer := testIssuer(t, &fault)
	discovery := func(key string) func(*browser) any {
		return func(b *browser) any { return b.get("/.well-known/openid-configuration").json(b.t)[key] }
	}
	status := func(path string) func(*browser) any { return func(b *browser) any { return b.get(path).status } }
	silently := status(authorization(url.Values{"prompt": {"none"}, "redirect_uri": {"https://grafana.tail1a2b.ts.net/oauth2/callback"}}))
	for kind, row := range map[string]struct {
		ask    func(*browser) any
		wanted any
	}{
		"not-found": {status("/.well-known/openid-configuration"), 404},
		"html": {func(b *browser) any {
			return strings.HasPrefix(b.get("/.well-known/openid-configuration").body, "<!doctype")
		}, true},
		"other-issuer": {discovery("issuer"), "https://login.acme.example/"}, "no-trailing-slash": {discovery("issuer"), base},
		"no-pkce":  {discovery("code_challenge_methods_supported"), nil},
		"no-rs256": {discovery("id_token_signing_alg_values_supported"), []any{"HS256"}},
		"no-code":  {discovery("response_types_supported"), []any{"id_token"}}, "jwks-not-found": {status("/.well-known/jwks.json"), 404},
		"jwks-empty":     {func(b *browser) any { return b.get("/.well-known/jwks.json").json(b.t)["keys"] }, []any{}},
		"client-unknown": {silently, 403}, "callback-rejected": {silently, 403},
		"organization-required": {func(b *browser) any {
			location := b.get(authorization(url.Values{"prompt": {"none"}, "redirect_uri": {"https://grafana.tail1a2b.ts.net/oauth2/callback"}})).location
			return location.Query().Get("error")
		}, "invalid_request"},
		"other-endpoints": {func(b *browser) any {
			location, _ := url.Parse(discovery("jwks_uri")(b).(string))
			keys, _ := b.get(location.Path).json(b.t)["keys"].([]any)
			return []any{location.Path, len(keys)}
		}, []any{"/protocol/openid-connect/certs", 1}},
		"secret-wrong": {func(b *browser) any { return b.post("/oauth/token", exchange("bogus")).status }, 401},
		"no-groups": {func(b *browser) any {
			code := newBrowser(b.t, b.issuer).signIn("member@acme.example").Query().Get("code")
			return claimsOf(b.t, b.post("/oauth/token", exchange(code)).json(b.t)["id_token"].(string))[sandbox.GroupsClaim]
		}, nil},
	} {
		t.Run(kind, func(t *testing.T) {
			b := newBrowser(t, issuer)
			before := row.ask(b)
			fault = kind
			during := row.ask(b)
			fault = ""
			if after := row.ask(b); !reflect.DeepEqual(during, row.wanted) || reflect.DeepEqual(before, during) || !reflect.DeepEqual(before, after) {
				t.Errorf("%v, %v, %v", before, during, after)
			}
		})
	}
}

func TestNoResponseEndsWithTheClient(t *testing.T) {
	fault := "no-response"
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	defer func() {
		if recover() != http.ErrAbortHandler || ctx.Err() == nil {
			t.Error("it answered")
		}
	}()
	testIssuer(t, &fault).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, base+"/", nil))
}
