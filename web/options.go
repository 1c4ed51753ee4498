package web

import (
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strings"
)

// Options are the options of [New]. Each field is optional. nil means the zero Options.
type Options struct {
	// Path is the path of the page as browsers see it. It begins and ends with a slash. Default: "/ui/".
	Path string
	// Mount is the path under which the host mounts the page, if a proxy in front changes paths. Default: Path.
	Mount string
	// Registry is the host name of the registry in pull commands, such as "images.example.com" or
	// "images.example.com:5000". Default: the host of the request.
	Registry string

	// Name is the name of the page, such as that of a company. Default: "Registry".
	Name string
	// Look changes the colours, and adds a logo.
	Look Look
	// Links are additional links in the footer of every page.
	Links []Link
	// Without are the names of views that are left out, such as "events"; [Views] lists all. Default: none.
	Without []string
	// Layout is a layout of the host around the views: a whole page, whose template is executed
	// with a [Content]. It must have no inline scripts and styles, which the policy of the page
	// forbids; put styles into Look.CSS. Default: that of this package.
	Layout *template.Template
	// Languages are the languages of the page, by BCP 47: "en" and "zh-CN". The first one is used for browsers that ask
	// for none of them. Default: both, English first.
	Languages []string

	// SignIn lets people sign in at the page. Default: nil.
	SignIn *SignIn
	// SignInURL and SignOutURL are URLs of the host's own sign-in. The page adds the parameter
	// return to the first, with the local path to which the host sends the browser afterwards.
	// Default: none.
	SignInURL, SignOutURL string

	// Events is a stream of events: sse.Handler of package sse. Default: nil, and there is no view of events.
	Events http.Handler
	// Logger receives failed requests with a status of 500 or more. Default: nothing is logged.
	Logger *slog.Logger
}

// Look is the look of the page.
type Look struct {
	// Accent is the colour of links and buttons: a CSS colour such as "#0b57d0", or "light-dark(#0b57d0, #a8c7fa)" for
	// light and dark colours. It must be readable on the background, with a contrast of 4.5 to 1. The text of a filled
	// button is white on light pages and dark on dark ones, see --on-accent. Default: blue.
	Accent string
	// Logo is an image for the header and the tab of the browser: PNG, SVG, WebP or JPEG, at most
	// 64 KiB. Default: none, the header has the name alone.
	Logo []byte
	// CSS is a style sheet of the host, which comes after that of the page, of at most 256 KiB. It usually sets the
	// variables at the begin of assets/css/10-base.css, such as --bg, --text, --sans and --radius. It cannot load
	// anything from other hosts. Default: none.
	CSS []byte
}

// Link is a link of the host.
type Link struct {
	// Title is the text, and URL is a path or an https, http or mailto URL.
	Title, URL string
}

// SignIn says how people sign in: at a handler of package signin, or by the dialogue of their browser.
//
//	login, err := signin.New(people, sessions, key, &signin.Options{
//		Passwords: logins, Home: "/ui/",
//		Fail: func(w http.ResponseWriter, r *http.Request, f signin.Failure) {
//			page.SignInFailed(w, r, web.SignInFailure(f))
//		},
//	})
//	page, err = web.New(manage, &web.Options{SignIn: &web.SignIn{Path: "/signin/", Password: true}})
//
// The page never asks for a password that the network could read: a request must come by TLS, to a loopback address, or
// from a trusted proxy that sends X-Forwarded-Proto; see package middleware, Forwarded.
type SignIn struct {
	// Path is the path of the signin.Handler as browsers see it, such as "/signin/". It ends with a slash. Required
	// unless Basic is set.
	Path string
	// Password lets people sign in with a password.
	Password bool
	// Providers are the OpenID providers.
	Providers []Provider

	// Basic is for hosts without sessions: the browser asks for the name and the password, and sends them with each
	// request. It excludes the fields above.
	Basic bool
	// PlainHTTP lets the browser send them without TLS. It is only for networks that nobody can listen to.
	PlainHTTP bool
}

// Provider is an OpenID provider.
type Provider struct {
	// Name is its name in paths, and Title is for display.
	Name, Title string
	// Issuer is the URL of the provider. With it, people link the own account to a person there.
	Issuer string
}

// check returns an error for fields that contradict each other.
func (s *SignIn) check() error {
	switch {
	case s == nil:
		return nil
	case s.Basic && (s.Path != "" || s.Password || len(s.Providers) > 0):
		return errors.New("web: SignIn.Basic excludes the other ways to sign in")
	case s.Basic:
		return nil
	case s.PlainHTTP:
		return errors.New("web: SignIn.PlainHTTP needs Basic: browsers keep no session without TLS")
	case !strings.HasPrefix(s.Path, "/") || !strings.HasSuffix(s.Path, "/") || strings.HasPrefix(s.Path, "//"):
		return fmt.Errorf("web: SignIn.Path: %q must begin and end with one slash", s.Path)
	case !s.Password && len(s.Providers) == 0:
		return errors.New("web: SignIn has no way to sign in")
	}
	return nil
}

// Content is what Options.Layout is executed with.
type Content struct {
	// Title is the title of the view, and Language is its language, such as "en".
	Title, Language string
	// Head belongs into the head element: the colours that the reader has chosen, the style sheets
	// and the script of the page. The layout adds the title and the encoding.
	Head template.HTML
	// Navigation is a header element with the search and the links to views. A layout may leave it out.
	Navigation template.HTML
	// Main is the view: a main element with the id "main" and one h1.
	Main template.HTML
	// Footer is a footer element with the links, and the choices of the language and the colours.
	Footer template.HTML
	// Caller is the name of the caller, or "" for anonymous callers.
	Caller string
}

// maxLogo is the maximum size of Look.Logo, in bytes.
const maxLogo = 64 << 10

// complete sets the defaults.
//
// Errors: an error for an invalid option.
func (o *Options) complete() error {
	if o.Path == "" {
		o.Path = "/ui/"
	}
	if o.Mount == "" {
		o.Mount = o.Path
	}
	for _, p := range []string{o.Path, o.Mount} {
		if !strings.HasPrefix(p, "/") || !strings.HasSuffix(p, "/") || strings.ContainsAny(p, "?#\\") ||
			strings.Contains(p, "//") {
			return fmt.Errorf("web: %q must begin and end with one slash", p)
		}
	}
	if o.Name == "" {
		o.Name = "Registry"
	}
	if len(o.Languages) == 0 {
		o.Languages = []string{"en", "zh-CN"}
	}
	for _, name := range o.Without {
		if !slices.Contains(Views(), name) {
			return fmt.Errorf("web: Options.Without: there is no view %q", name)
		}
	}
	if o.SignIn != nil && o.SignInURL != "" {
		return errors.New("web: Options.SignIn and Options.SignInURL exclude each other")
	}
	if err := o.checkHost(); err != nil {
		return err
	}
	return o.SignIn.check()
}
