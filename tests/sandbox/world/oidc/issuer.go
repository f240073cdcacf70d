// Package oidc is an OpenID provider with the issuer, paths and error pages of an Auth0 tenant.
package oidc

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"tailwatch.dev/sandbox/world/sandbox"
)

// issuer is the Auth0 tenant: a real OpenID provider with Auth0's issuer string and paths. Its users are in users.go. The
// fault `issuer` changes its answers. It answers 501 to a request that it does not model.
type issuer struct {
	pages    *http.ServeMux
	provider http.Handler
	tenant   *tenant
}

// issuerEndpoints are Auth0's paths; every other path answers 501.
var issuerEndpoints = op.Endpoints{
	Authorization: op.NewEndpoint("/authorize"), Token: op.NewEndpoint("/oauth/token"), Userinfo: op.NewEndpoint("/userinfo"),
	JwksURI: op.NewEndpoint("/.well-known/jwks.json"), DeviceAuthorization: op.NewEndpoint("/oauth/device/code"),
}

// keycloakKeys is the path of the keys at Keycloak.
var keycloakKeys = op.NewEndpoint("/protocol/openid-connect/certs")

// New registers one client with that secret; fault is asked with each request.
func New(secret string, fault func() string) (*issuer, error) {
	tenant, err := newTenant(secret, fault)
	if err != nil {
		return nil, err
	}
	config := &op.Config{
		CryptoKey: tenant.cryptoKey, CodeMethodS256: true, AuthMethodPost: true,
		SupportedScopes:     []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail},
		DeviceAuthorization: op.DeviceAuthorizationConfig{Lifetime: deviceLifetime, PollInterval: devicePoll, UserFormPath: devicePath, UserCode: op.UserCodeBase20},
	}
	provider, err := op.NewProvider(config, tenant, op.StaticIssuer("https://"+sandbox.IssuerHost+"/"))
	if err != nil {
		return nil, err
	}
	i := &issuer{pages: http.NewServeMux(), tenant: tenant}
	server := &issuerServer{op.NewLegacyServer(provider, issuerEndpoints), tenant}
	i.provider = op.RegisterLegacyServer(server, op.AuthorizeCallbackHandler(provider), op.WithSetRouter(func(router chi.Router) {
		router.NotFound(func(answer http.ResponseWriter, request *http.Request) {
			http.Error(answer, "the sandbox's issuer does not model "+request.URL.Path, http.StatusNotImplemented)
		})
	}))
	i.pages.HandleFunc("/authorize", i.authorize)
	i.pages.HandleFunc("GET "+loginPath, i.showLogin)
	i.pages.HandleFunc("POST "+loginPath, i.login)
	i.pages.HandleFunc("GET "+devicePath, i.showDevice)
	i.pages.HandleFunc("POST "+devicePath, i.confirmDevice)
	i.pages.Handle("/", i.provider)
	return i, nil
}

func (i *issuer) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	isDiscovery := request.URL.Path == oidc.DiscoveryEndpoint
	switch fault := i.tenant.fault(); {
	case fault == "other-endpoints" && request.URL.Path == keycloakKeys.Relative():
		request.URL.Path = issuerEndpoints.JwksURI.Relative()
		i.pages.ServeHTTP(answer, request)
	case fault == "unreachable":
		panic(http.ErrAbortHandler)
	case fault == "no-response":
		i.holdResponse(request.Context())
		panic(http.ErrAbortHandler)
	case fault == "not-found" && isDiscovery, fault == "jwks-not-found" && request.URL.Path == issuerEndpoints.JwksURI.Relative():
		http.NotFound(answer, request)
	case fault == "html" && isDiscovery:
		writePage(answer, http.StatusOK, "Acme", "This is the portal of Acme.")
	default:
		i.pages.ServeHTTP(answer, request)
	}
}

// holdResponse waits until the client disconnects or the fault ends.
func (i *issuer) holdResponse(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sandbox.Every(ctx, faultPoll, func() {
		if i.tenant.fault() != "no-response" {
			stop()
		}
	})
}

// authorize shows errors of the client and of the redirect URI on a page, since an unregistered redirect URI must not get
// them.
func (i *issuer) authorize(answer http.ResponseWriter, request *http.Request) {
	id, callback := request.FormValue("client_id"), request.FormValue("redirect_uri")
	client, err := i.tenant.GetClientByClientID(request.Context(), id)
	if err != nil {
		writePage(answer, http.StatusForbidden, "Oops!, something went wrong", "Unknown client: "+id)
		return
	}
	if op.ValidateAuthReqRedirectURI(client, callback, oidc.ResponseTypeCode) != nil {
		writePage(answer, http.StatusForbidden, "Oops!, something went wrong",
			"Callback URL mismatch. "+callback+" is not in the list of allowed callback URLs.")
		return
	}
	// Auth0 redirects with this error if the application requires an organization.
	if i.tenant.fault() == "organization-required" && request.FormValue("organization") == "" {
		query := url.Values{"error": {"invalid_request"}, "state": {request.FormValue("state")},
			"error_description": {"parameter organization is required for this client"}}
		http.Redirect(answer, request, callback+"?"+query.Encode(), http.StatusFound)
		return
	}
	i.provider.ServeHTTP(answer, request.WithContext(i.withSession(request)))
}

// issuerServer answers as Auth0 where the library does otherwise.
type issuerServer struct {
	*op.LegacyServer
	tenant *tenant
}

func (s *issuerServer) Discovery(ctx context.Context, request *op.Request[struct{}]) (*op.Response, error) {
	response, err := s.LegacyServer.Discovery(ctx, request)
	if err != nil {
		return nil, err
	}
	document := response.Data.(*oidc.DiscoveryConfiguration)
	document.ResponseTypesSupported = []string{string(oidc.ResponseTypeCode)}
	document.GrantTypesSupported = tenantGrants
	document.TokenEndpointAuthMethodsSupported = []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPost}
	document.ClaimsSupported = slices.Concat(document.ClaimsSupported, []string{sandbox.GroupsClaim})
	switch s.tenant.fault() {
	case "other-issuer":
		document.Issuer = "https://login.acme.example/"
	case "no-trailing-slash":
		document.Issuer = strings.TrimSuffix(document.Issuer, "/")
	case "no-pkce":
		document.CodeChallengeMethodsSupported = nil
	case "other-endpoints":
		document.JwksURI = keycloakKeys.Absolute(strings.TrimSuffix(document.Issuer, "/"))
	case "no-code":
		document.ResponseTypesSupported = []string{string(oidc.ResponseTypeIDTokenOnly)}
	}
	return response, nil
}

// VerifyClient: RFC 6749 (5.2) wants 401 where credentials came in a header, and Auth0 gives it in any case.
func (s *issuerServer) VerifyClient(ctx context.Context, request *op.Request[op.ClientCredentials]) (op.Client, error) {
	client, err := s.LegacyServer.VerifyClient(ctx, request)
	if err != nil {
		return nil, op.NewStatusError(err, http.StatusUnauthorized)
	}
	return client, nil
}

// CodeExchange: a code that was requested with a challenge needs its verifier.
func (s *issuerServer) CodeExchange(ctx context.Context, request *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	asked, err := op.AuthRequestByCode(ctx, s.tenant, request.Data.Code)
	if err != nil {
		return nil, err
	}
	if err := op.AuthorizeCodeChallenge(request.Data.CodeVerifier, asked.GetCodeChallenge()); err != nil {
		return nil, err
	}
	return s.LegacyServer.CodeExchange(ctx, request)
}
