package oidc

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"tailwatch.dev/sandbox/world/sandbox"
)

var tenantGrants = []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeDeviceCode}

// webClient is the one application of the tenant, as Auth0's "Regular Web Application".
type webClient struct{ tenant *tenant }

func (c webClient) GetID() string { return sandbox.ClientID }

func (c webClient) RedirectURIs() []string {
	if c.tenant.fault() == "callback-rejected" {
		return nil
	}
	return []string{"https://grafana." + sandbox.Tailnet + "/oauth2/callback"}
}

// RedirectURIGlobs: a sign-in by a program has a callback on a random loopback port.
func (c webClient) RedirectURIGlobs() []string {
	globs := []string{}
	for digits := 1; digits <= 5; digits++ {
		globs = append(globs, "http://127.0.0.1:"+strings.Repeat("[0-9]", digits)+"/callback")
	}
	return globs
}

func (c webClient) ResponseTypes() []oidc.ResponseType {
	if c.tenant.fault() == "no-code" {
		return []oidc.ResponseType{oidc.ResponseTypeIDTokenOnly}
	}
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (c webClient) LoginURL(id string) string            { return loginPath + "?state=" + id }
func (c webClient) GrantTypes() []oidc.GrantType         { return tenantGrants }
func (c webClient) PostLogoutRedirectURIs() []string     { return nil }
func (c webClient) PostLogoutRedirectURIGlobs() []string { return nil }
func (c webClient) ApplicationType() op.ApplicationType  { return op.ApplicationTypeWeb }
func (c webClient) AuthMethod() oidc.AuthMethod          { return oidc.AuthMethodBasic }
func (c webClient) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeBearer }
func (c webClient) IDTokenLifetime() time.Duration       { return tokenLifetime }
func (c webClient) DevMode() bool                        { return false }
func (c webClient) IsScopeAllowed(string) bool           { return false }
func (c webClient) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c webClient) ClockSkew() time.Duration             { return 0 }
func (c webClient) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
func (c webClient) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

// signIn is one run of the authorization code flow.
type signIn struct {
	oidc.AuthRequest
	id   string
	user *user
	at   time.Time
}

func (s *signIn) complete(who *user) { s.user, s.at = who, time.Now() }

func (s *signIn) copied() *signIn {
	copied := *s
	return &copied
}

func (s *signIn) GetID() string                      { return s.id }
func (s *signIn) GetACR() string                     { return "" }
func (s *signIn) GetAMR() []string                   { return nil }
func (s *signIn) GetAudience() []string              { return []string{s.ClientID} }
func (s *signIn) GetAuthTime() time.Time             { return s.at }
func (s *signIn) GetClientID() string                { return s.ClientID }
func (s *signIn) GetNonce() string                   { return s.Nonce }
func (s *signIn) GetResponseMode() oidc.ResponseMode { return s.ResponseMode }
func (s *signIn) GetScopes() []string                { return s.Scopes }
func (s *signIn) Done() bool                         { return s.user != nil }

func (s *signIn) GetSubject() string {
	if s.user == nil {
		return ""
	}
	return s.user.subject()
}

func (s *signIn) GetCodeChallenge() *oidc.CodeChallenge {
	if s.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: s.CodeChallenge, Method: s.CodeChallengeMethod}
}

func hasPrompt(prompts []string, prompt string) bool { return slices.Contains(prompts, prompt) }

// signingKey implements both key interfaces of the library.
type signingKey struct {
	id        string
	algorithm jose.SignatureAlgorithm
	key       any
}

func (k signingKey) ID() string                                  { return k.id }
func (k signingKey) Algorithm() jose.SignatureAlgorithm          { return k.algorithm }
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return k.algorithm }
func (k signingKey) Use() string                                 { return "sig" }
func (k signingKey) Key() any                                    { return k.key }

func (t *tenant) algorithm() jose.SignatureAlgorithm {
	if t.fault() == "no-rs256" {
		return jose.HS256
	}
	return jose.RS256
}

func (t *tenant) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{t.algorithm()}, nil
}

func (t *tenant) SigningKey(context.Context) (op.SigningKey, error) {
	if algorithm := t.algorithm(); algorithm == jose.HS256 {
		return signingKey{"", algorithm, []byte(t.secret)}, nil
	}
	return signingKey{"sandbox", jose.RS256, t.key}, nil
}

func (t *tenant) KeySet(context.Context) ([]op.Key, error) {
	if t.fault() == "jwks-empty" {
		return nil, nil
	}
	return []op.Key{signingKey{"sandbox", jose.RS256, t.key.Public()}}, nil
}
