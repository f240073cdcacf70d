package main

import (
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// person is one who can sign in at the tenant. Any password that is not empty is right.
type person struct {
	email, name string
	unverified  bool
	// groups is what the tenant's Action puts into the claim; nil for one whom it leaves without.
	groups []string
}

var people = []person{
	{email: "member@acme.example", name: "Mira Member", groups: []string{"monitoring-admins"}},
	{email: "admin@acme.example", name: "Adam Admin", groups: []string{"infra-admins"}},
	{email: "outsider@acme.example", name: "Olga Outsider", groups: []string{"staff"}},
	{email: "unclaimed@acme.example", name: "Udo Unclaimed"},
	{email: "unverified@acme.example", name: "Vera Unverified", unverified: true, groups: []string{"monitoring-admins"}},
}

func (p *person) subject() string {
	name, _, _ := strings.Cut(p.email, "@")
	return "auth0|" + name
}

func personBy(is func(*person) bool) *person {
	for index := range people {
		if is(&people[index]) {
			return &people[index]
		}
	}
	return nil
}

func personOf(subject string) *person {
	return personBy(func(p *person) bool { return p.subject() == subject })
}

// identify gives nobody for a name that is not known or an empty password.
func identify(email, password string) *person {
	if password == "" {
		return nil
	}
	return personBy(func(p *person) bool { return strings.EqualFold(p.email, strings.TrimSpace(email)) })
}

// claim writes what the scopes ask for, and the groups whatever they ask for, as an Action does.
func (p *person) claim(info *oidc.UserInfo, scopes []string, withGroups func() bool) {
	info.Subject = p.subject()
	for _, scope := range scopes {
		switch scope {
		case oidc.ScopeProfile:
			info.Name = p.name
		case oidc.ScopeEmail:
			info.Email = p.email
			// The library's field leaves out what is false, which would read as "not known".
			info.AppendClaims("email_verified", !p.unverified)
		}
	}
	if p.groups != nil && withGroups() {
		info.AppendClaims(groupsClaim, p.groups)
	}
}
