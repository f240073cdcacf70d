package oidc

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"tailwatch.dev/sandbox/world/sandbox"
)

const (
	tokenLifetime  = 24 * time.Hour
	deviceLifetime = 15 * time.Minute
	devicePoll     = time.Second
	faultPoll      = 50 * time.Millisecond
)

// tenant is the state of the issuer, in memory.
type tenant struct {
	secret    string
	fault     func() string
	key       *rsa.PrivateKey
	cryptoKey [32]byte

	mutex    sync.Mutex
	requests map[string]*signIn
	codes    map[string]*signIn
	tokens   map[string]accessToken
	devices  map[string]*device
	// sessions are the signed-in users by the value of the session cookie.
	sessions map[string]*user
}

type accessToken struct {
	subject string
	scopes  []string
	expires time.Time
}

// device is one that waits for its user code to be confirmed.
type device struct {
	userCode string
	state    op.DeviceAuthorizationState
}

var errNotModelled = errors.New("the sandbox's issuer does not model this")

func newTenant(secret string, fault func() string) (*tenant, error) {
	t := &tenant{
		secret: secret, fault: fault, requests: map[string]*signIn{}, codes: map[string]*signIn{}, tokens: map[string]accessToken{},
		devices: map[string]*device{}, sessions: map[string]*user{},
	}
	var err error
	if t.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	_, err = rand.Read(t.cryptoKey[:])
	return t, err
}

func (t *tenant) Health(context.Context) error { return nil }

func (t *tenant) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != sandbox.ClientID || t.fault() == "client-unknown" {
		return nil, errors.New("unknown client " + id)
	}
	return webClient{t}, nil
}

func (t *tenant) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	right := id == sandbox.ClientID && subtle.ConstantTimeCompare([]byte(secret), []byte(t.secret)) == 1
	if !right || t.fault() == "secret-wrong" {
		return errors.New("not this client's secret")
	}
	return nil
}

func (t *tenant) CreateAuthRequest(ctx context.Context, request *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	who := sessionIn(ctx)
	if hasPrompt(request.Prompt, oidc.PromptLogin) {
		who = nil
	}
	if who == nil && hasPrompt(request.Prompt, oidc.PromptNone) {
		return nil, oidc.ErrLoginRequired()
	}
	started := &signIn{AuthRequest: *request, id: rand.Text()}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if who != nil {
		started.complete(who)
	}
	t.requests[started.id] = started
	return started, nil
}

func (t *tenant) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if started, ok := t.requests[id]; ok {
		return started.copied(), nil
	}
	return nil, errors.New("there is no such sign-in")
}

func (t *tenant) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if started, ok := t.codes[code]; ok {
		return started.copied(), nil
	}
	return nil, errors.New("there is no such code")
}

func (t *tenant) SaveAuthCode(_ context.Context, id, code string) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	started, ok := t.requests[id]
	if !ok {
		return errors.New("there is no such sign-in")
	}
	t.codes[code] = started
	return nil
}

// DeleteAuthRequest: a code is valid for one exchange.
func (t *tenant) DeleteAuthRequest(_ context.Context, id string) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.requests, id)
	for code, started := range t.codes {
		if started.id == id {
			delete(t.codes, code)
		}
	}
	return nil
}

func (t *tenant) CreateAccessToken(_ context.Context, request op.TokenRequest) (string, time.Time, error) {
	id, token := rand.Text(), accessToken{request.GetSubject(), request.GetScopes(), time.Now().Add(tokenLifetime)}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.tokens[id] = token
	return id, token.expires, nil
}

// SetUserinfoFromScopes is about ID tokens.
func (t *tenant) SetUserinfoFromScopes(_ context.Context, info *oidc.UserInfo, subject, _ string, scopes []string) error {
	who := userBySubject(subject)
	if who == nil {
		return errors.New("unknown user " + subject)
	}
	who.addClaims(info, scopes, t.addsGroups)
	return nil
}

func (t *tenant) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, id, subject, _ string) error {
	t.mutex.Lock()
	token, ok := t.tokens[id]
	t.mutex.Unlock()
	if !ok || token.subject != subject || time.Now().After(token.expires) {
		return oidc.ErrAccessDenied().WithDescription("the token is not valid")
	}
	return t.SetUserinfoFromScopes(ctx, info, subject, sandbox.ClientID, token.scopes)
}

func (t *tenant) addsGroups() bool { return t.fault() != "no-groups" }

func (t *tenant) StoreDeviceAuthorization(_ context.Context, client, deviceCode, userCode string, expires time.Time, scopes []string) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.devices[deviceCode] = &device{userCode, op.DeviceAuthorizationState{ClientID: client, Scopes: scopes, Expires: expires}}
	return nil
}

func (t *tenant) GetDeviceAuthorizatonState(_ context.Context, client, deviceCode string) (*op.DeviceAuthorizationState, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	waiting, ok := t.devices[deviceCode]
	if !ok || waiting.state.ClientID != client {
		return nil, errors.New("there is no such device")
	}
	state := waiting.state
	if state.Done || state.Denied {
		delete(t.devices, deviceCode)
	}
	return &state, nil
}

// The tenant issues no refresh tokens, knows no other keys than its own and ends no sessions.

func (t *tenant) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (string, string, time.Time, error) {
	return "", "", time.Time{}, errNotModelled
}

func (t *tenant) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, errNotModelled
}

func (t *tenant) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) {
	return "", "", op.ErrInvalidRefreshToken
}

func (t *tenant) TerminateSession(context.Context, string, string) error { return errNotModelled }

func (t *tenant) RevokeToken(context.Context, string, string, string) *oidc.Error {
	return oidc.ErrServerError().WithParent(errNotModelled)
}

func (t *tenant) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errNotModelled
}

func (t *tenant) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}

func (t *tenant) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNotModelled
}

func (t *tenant) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNotModelled
}
