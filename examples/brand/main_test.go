package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/registrytest"
)

// visit sends a request as a browser, and returns the page to which it leads.
func visit(t *testing.T, b *http.Client, method, target string, form url.Values) (*http.Response, *goquery.Document) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := b.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	doc, err := goquery.NewDocumentFromReader(io.LimitReader(res.Body, 1<<20))
	require.NoError(t, err)
	return res, doc
}

func TestBrand(t *testing.T) {
	a := newApp("ann", "bob")
	handler, err := newHandler(t.Context(), a)
	require.NoError(t, err)
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	b := server.Client()
	b.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)

	res, doc := visit(t, b, "GET", server.URL+"/images/?after=a", nil)
	require.Equal(t, "/login", res.Request.URL.Path, "the sign-in is that of the application")
	back := doc.Find("input[name=return]").AttrOr("value", "")
	require.Equal(t, "/images/?after=a", back)
	enter := url.Values{"name": {"ann"}, "password": {"wrong"}, "return": {back}}
	res, _ = visit(t, b, "POST", server.URL+"/login", enter)
	require.Equal(t, 403, res.StatusCode)
	enter.Set("password", a.password)
	res, _ = visit(t, b, "POST", server.URL+"/login", enter)
	require.Equal(t, back, res.Request.URL.RequestURI())

	res, doc = visit(t, b, "GET", server.URL+"/images/", nil)
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "Repositories – Orchard", doc.Find("title").Text(), "the layout is that of the application")
	require.Equal(t, "Orchard", doc.Find("nav.side .brand").Text())
	require.Contains(t, doc.Find("main").Text(), "orchard/welcome")
	require.Equal(t, 1, doc.Find("main").Length())
	require.Equal(t, 1, doc.Find(`header img[src$="logo.svg"]`).Length())
	css, _ := visit(t, b, "GET", server.URL+doc.Find(`link[href$="host.css"]`).AttrOr("href", ""), nil)
	require.Equal(t, 200, css.StatusCode)
	require.Equal(t, "/help", doc.Find("footer a[rel]").AttrOr("href", ""))
	require.Zero(t, doc.Find("a[hreflang]").Length(), "there is one language")
	for _, path := range []string{"/images/profile", "/images/sign-in", "/images/tokens", "/api/v1/parts"} {
		res, _ = visit(t, b, "GET", server.URL+path, nil)
		require.Equal(t, 404, res.StatusCode, path)
	}
	pushAndLeave(t, server, b)
}

// pushAndLeave pushes an image with a key of the application, sees it on the page, and leaves.
func pushAndLeave(t *testing.T, server *httptest.Server, b *http.Client) {
	t.Helper()
	_, doc := visit(t, b, "POST", server.URL+"/key", url.Values{})
	key := regexp.MustCompile(`[A-Z2-7]{26}`).FindString(doc.Find("code").First().Text())
	logins, err := login.New(server.URL, &login.Options{Transport: server.Client().Transport,
		Source: login.Static(login.Credentials{Username: "ann", Password: login.Secret(key)})})
	require.NoError(t, err)
	docker, err := client.New(server.URL, &client.Options{
		HTTPClient: &http.Client{Transport: server.Client().Transport},
		Authorize:  logins.Authorize, Challenge: logins.Challenge})
	require.NoError(t, err)
	image := registrytest.RandomImage(1, 1, 1000)
	require.NoError(t, image.Push(t.Context(), docker, "ann/app", "v1"))
	require.Error(t, image.Push(t.Context(), docker, "bob/app", "v1"))
	_, doc = visit(t, b, "GET", server.URL+"/images/", nil)
	require.Contains(t, doc.Find("main").Text(), "ann/app")

	res, _ := visit(t, b, "GET", server.URL+"/v2/ann/app/tags/list", nil)
	require.Equal(t, 401, res.StatusCode, "no cookies on /v2/")
	visit(t, b, "POST", server.URL+"/logout", url.Values{})
	res, _ = visit(t, b, "GET", server.URL+"/images/", nil)
	require.Equal(t, "/login", res.Request.URL.Path)
}

func TestLocal(t *testing.T) {
	for path, want := range map[string]string{"/images/": "/images/", "": "/", "//evil.example": "/", "/\\evil": "/",
		"https://evil.example": "/", "/a\tb": "/"} {
		require.Equal(t, want, local(path), path)
	}
}
