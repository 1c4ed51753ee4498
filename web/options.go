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
	// Layout is a layout of the host around the views. It is executed with a [Content]. Default: that of this package.
	Layout *template.Template
	// Languages are the languages of the page, by BCP 47. The first one is used for browsers that ask for none of them.
	// Default: "en", "zh-CN".
	Languages []string

	// SignIn lets people sign in at the page. Default: nil.
	SignIn *SignIn
	// SignInURL and SignOutURL are URLs of the host's own sign-in. The page adds the parameter return to the first, with
	// the local path to which the host sends the browser afterwards. Default: none.
	SignInURL, SignOutURL string

	// Events is a stream of events: sse.Handler of package sse. Default: nil, and there is no view of events.
	Events http.Handler
	// Logger receives failed requests with a status of 500 or more. Default: nothing is logged.
	Logger *slog.Logger
}

// Look is the look of the page.
type Look struct {
	// Accent is the colour of links and buttons: a CSS colour such as "#0b57d0", or
	// "light-dark(#0b57d0, #a8c7fa)" for both themes. Default: blue.
	Accent string
	// Logo is an image for the header, PNG, SVG, WebP or JPEG, of at most 64 KiB. Default: none, the header has the name.
	Logo []byte
	// CSS is a style sheet of the host, which comes after that of the page. Default: none.
	CSS []byte
}

// Link is a link of the host.
type Link struct {
	// Title is the text, and URL is a path or an https, http or mailto URL.
	Title, URL string
}

// SignIn says where people sign in with package signin.
type SignIn struct {
	// Path is the path of the signin.Handler as browsers see it, such as "/signin/". It ends with a slash.
	Path string
	// Password lets people sign in with a password.
	Password bool
	// Providers are the OpenID providers.
	Providers []Provider
}

// Provider is an OpenID provider.
type Provider struct {
	// Name is its name in paths, and Title is for display.
	Name, Title string
}

// Content is what Options.Layout is executed with.
type Content struct {
	// Title is the title of the view, and Language is its language, such as "en".
	Title, Language string
	// Head belongs into the head element: the style sheets and the script of the page.
	Head template.HTML
	// Navigation is the header with the search and the links to views.
	Navigation template.HTML
	// Main is the view: a main element.
	Main template.HTML
	// Footer has the links, and the choice of the language.
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
		if !strings.HasPrefix(p, "/") || !strings.HasSuffix(p, "/") || strings.ContainsAny(p, "?#\\") || strings.Contains(p, "//") {
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
	if len(o.Look.Logo) > maxLogo {
		return fmt.Errorf("web: the logo has more than %d bytes", maxLogo)
	}
	return nil
}
