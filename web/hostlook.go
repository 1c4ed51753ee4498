package web

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// maxCSS is the maximum size of Look.CSS, in bytes.
const maxCSS = 256 << 10

// colour matches the characters of a colour of CSS, with functions such as rgb() and light-dark().
var colour = regexp.MustCompile(`^[#a-zA-Z0-9(),.%/ +-]{1,200}$`)

// check returns an error for a look that a page cannot have. newAssets checks the type of the logo.
func (l *Look) check() error {
	switch {
	case len(l.Logo) > maxLogo:
		return fmt.Errorf("web: Look.Logo has more than %d bytes", maxLogo)
	case len(l.CSS) > maxCSS:
		return fmt.Errorf("web: Look.CSS has more than %d bytes", maxCSS)
	case l.Accent == "":
		return nil
	case !colour.MatchString(l.Accent), strings.Contains(strings.ToLower(l.Accent), "url("),
		strings.Count(l.Accent, "(") != strings.Count(l.Accent, ")"):
		return fmt.Errorf("web: Look.Accent: %q is no colour", l.Accent)
	}
	return nil
}

// check returns an error for a link that a page cannot have. A browser would run a script for a link "javascript:".
func (l *Link) check() error {
	if strings.TrimSpace(l.Title) == "" {
		return errors.New("web: Options.Links: a link has no title")
	}
	u, err := url.Parse(l.URL)
	if err != nil {
		return fmt.Errorf("web: Options.Links: %w", err)
	}
	ok := slices.Contains([]string{"http", "https"}, u.Scheme) && u.Host != "" || u.Scheme == "mailto" && u.Opaque != "" ||
		u.Scheme == "" && strings.HasPrefix(l.URL, "/")
	if !ok || strings.ContainsAny(l.URL, "\\\t\r\n") {
		return fmt.Errorf("web: Options.Links: %q is neither a path nor an https, http or mailto URL", l.URL)
	}
	return nil
}

// checkHost checks what a host has set about the look of the page.
func (o *Options) checkHost() error {
	if err := o.Look.check(); err != nil {
		return err
	}
	for i := range o.Links {
		if err := o.Links[i].check(); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for _, code := range o.Languages {
		if seen[code] {
			return fmt.Errorf("web: Options.Languages has %q twice", code)
		}
		seen[code] = true
	}
	if o.Layout != nil {
		if err := o.Layout.Execute(io.Discard, Content{}); err != nil {
			return fmt.Errorf("web: Options.Layout: %w", err)
		}
	}
	return nil
}
