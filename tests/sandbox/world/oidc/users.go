package oidc

import (
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"tailwatch.dev/sandbox/world/sandbox"
)

// user can sign in at the tenant with any password that is not empty.
type user struct {
	email, name string
	unverified  bool
	// groups is the claim that the tenant's Action adds: nil for none.
	groups []string
}

var users = []user{
	{email: "member@acme.example", name: "Mira Member", groups: []string{"monitoring-admins"}},
	{email: "admin@acme.example", name: "Adam Admin", groups: []string{"infra-admins"}},
	{email: "outsider@acme.example", name: "Olga Outsider", groups: []string{"staff"}},
	{email: "unclaimed@acme.example", name: "Udo Unclaimed"},
	{email: "unverified@acme.example", name: "Vera Unverified", unverified: true, groups: []string{"monitoring-admins"}},
}

func (p *user) subject() string {
	name, _, _ := strings.Cut(p.email, "@")
	return "auth0|" + name
}

func userBy(is func(*user) bool) *user {
	for index := range users {
		if is(&users[index]) {
			return &users[index]
		}
	}
	return nil
}

func userBySubject(subject string) *user {
	return userBy(func(p *user) bool { return p.subject() == subject })
}

// identify gives nil for an unknown name or an empty password.
func identify(email, password string) *user {
	if password == "" {
		return nil
	}
	return userBy(func(p *user) bool { return strings.EqualFold(p.email, strings.TrimSpace(email)) })
}

// addClaims adds the claims of the scopes, and the groups for any scope, as an Action does.
func (p *user) addClaims(info *oidc.UserInfo, scopes []string, withGroups func() bool) {
	info.Subject = p.subject()
	for _, scope := range scopes {
		switch scope {
		case oidc.ScopeProfile:
			info.Name = p.name
		case oidc.ScopeEmail:
			info.Email = p.email
			// The library's field leaves out what is false, which means unknown.
			info.AppendClaims("email_verified", !p.unverified)
		}
	}
	if p.groups != nil && withGroups() {
		info.AppendClaims(sandbox.GroupsClaim, p.groups)
	}
}
