package oidc

import (
	"context"
	"crypto/rand"
	"html/template"
	"net/http"
	"time"
)

// The pages are plain forms with the fields `username` and `password`, for a device also `user_code`.
const (
	loginPath     = "/u/login"
	devicePath    = "/activate"
	sessionCookie = "auth0"
)

var pages = template.Must(template.New("").Parse(`{{define "page"}}<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Title}}</title>
<h1>{{.Title}}</h1>
{{with .Text}}<p>{{.}}</p>{{end}}
{{if .Form}}<form method="post">
{{if .Device}}<label>Code <input name="user_code" value="{{.UserCode}}" required></label>
{{end}}<label>Email <input name="username" type="email" autofocus required></label>
<label>Password <input name="password" type="password" required></label>
<button name="action" value="confirm">Continue</button>{{if .Device}} <button name="action" value="deny">Cancel</button>{{end}}
</form>{{end}}
</html>
{{end}}`))

type page struct {
	Title, Text  string
	Form, Device bool
	UserCode     string
}

func (p page) write(answer http.ResponseWriter, status int) {
	answer.Header().Set("Content-Type", "text/html; charset=utf-8")
	answer.WriteHeader(status)
	_ = pages.ExecuteTemplate(answer, "page", p)
}

func writePage(answer http.ResponseWriter, status int, title, text string) {
	page{Title: title, Text: text}.write(answer, status)
}

type sessionKey struct{}

// withSession adds the user of the session cookie to the context.
func (i *issuer) withSession(request *http.Request) context.Context {
	cookie, err := request.Cookie(sessionCookie)
	if err != nil {
		return request.Context()
	}
	i.tenant.mutex.Lock()
	defer i.tenant.mutex.Unlock()
	return context.WithValue(request.Context(), sessionKey{}, i.tenant.sessions[cookie.Value])
}

func sessionIn(ctx context.Context) *user {
	who, _ := ctx.Value(sessionKey{}).(*user)
	return who
}

func (i *issuer) showLogin(answer http.ResponseWriter, request *http.Request) {
	id := request.FormValue("state")
	started, err := i.tenant.AuthRequestByID(request.Context(), id)
	switch {
	case err != nil:
		writePage(answer, http.StatusBadRequest, "Oops!, something went wrong", err.Error())
	case started.Done():
		redirectToCallback(answer, request, id)
	default:
		loginForm("").write(answer, http.StatusOK)
	}
}

func loginForm(text string) page { return page{Title: "Log in to Acme", Text: text, Form: true} }

func redirectToCallback(answer http.ResponseWriter, request *http.Request, id string) {
	http.Redirect(answer, request, issuerEndpoints.Authorization.Relative()+"/callback?id="+id, http.StatusFound)
}

func (i *issuer) login(answer http.ResponseWriter, request *http.Request) {
	id, who := request.URL.Query().Get("state"), identify(request.PostFormValue("username"), request.PostFormValue("password"))
	if who == nil {
		loginForm("Wrong email or password.").write(answer, http.StatusBadRequest)
		return
	}
	session := rand.Text()
	i.tenant.mutex.Lock()
	started, ok := i.tenant.requests[id]
	if ok {
		started.complete(who)
		i.tenant.sessions[session] = who
	}
	i.tenant.mutex.Unlock()
	if !ok {
		writePage(answer, http.StatusBadRequest, "Oops!, something went wrong", "There is no such sign-in.")
		return
	}
	http.SetCookie(answer, &http.Cookie{Name: sessionCookie, Value: session, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	redirectToCallback(answer, request, id)
}

func deviceForm(code, text string) page {
	return page{Title: "Device confirmation", Text: text, Form: true, Device: true, UserCode: code}
}

func (i *issuer) showDevice(answer http.ResponseWriter, request *http.Request) {
	deviceForm(request.FormValue("user_code"), "").write(answer, http.StatusOK)
}

func (i *issuer) confirmDevice(answer http.ResponseWriter, request *http.Request) {
	code := request.PostFormValue("user_code")
	who := identify(request.PostFormValue("username"), request.PostFormValue("password"))
	if who == nil {
		deviceForm(code, "Wrong email or password.").write(answer, http.StatusBadRequest)
		return
	}
	i.tenant.mutex.Lock()
	defer i.tenant.mutex.Unlock()
	for _, waiting := range i.tenant.devices {
		if waiting.userCode != code || time.Now().After(waiting.state.Expires) {
			continue
		}
		if request.PostFormValue("action") == "deny" {
			waiting.state.Denied = true
			writePage(answer, http.StatusOK, "Device confirmation", "The device was refused.")
			return
		}
		waiting.state.Done, waiting.state.Subject, waiting.state.AuthTime = true, who.subject(), time.Now()
		writePage(answer, http.StatusOK, "Congratulations, you're all set!", "Your device is now connected.")
		return
	}
	deviceForm("", "That code is wrong or too old.").write(answer, http.StatusBadRequest)
}
