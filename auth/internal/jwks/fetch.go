package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/strictjson"
)

const (
	// maxDocument is the maximum size of a document, in bytes. Those of large providers have a few KiB.
	maxDocument  = 256 << 10
	maxRedirects = 3
)

// reader returns a function that reads the keys at the URL that locate returns.
func (s *Set) reader(locate func(context.Context, *http.Client) (*url.URL, error)) func(context.Context) (*keys,
	time.Duration, error) {
	client := limited(s.opts.Client)
	return func(ctx context.Context) (*keys, time.Duration, error) {
		u, err := locate(ctx, client)
		if err != nil {
			return nil, 0, err
		}
		content, header, err := fetch(ctx, client, u)
		if err != nil {
			return nil, 0, err
		}
		k, err := parseSet(content)
		if err != nil {
			return nil, 0, fmt.Errorf("jwks: %s: %w", u, err)
		}
		return k, lifetime(header, s.opts.MaxAge), nil
	}
}

// limited returns a client that follows few redirects, and none to plain HTTP unless everything stays on
// loopback.
func limited(client *http.Client) *http.Client {
	c := http.Client{}
	if client != nil {
		c = *client
	}
	c.Jar = nil
	next := c.CheckRedirect
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		switch {
		case len(via) > maxRedirects:
			return errors.New("too many redirects")
		case r.URL.Scheme != "https" && !(plainLoopback(r.URL) && plainLoopback(via[0].URL)):
			return errors.New("a redirect away from TLS")
		case next != nil:
			return next(r, via)
		}
		return nil
	}
	return &c
}

// fetch returns the document at a URL.
func fetch(ctx context.Context, client *http.Client, u *url.URL) ([]byte, http.Header, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("jwks: %w", err)
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := client.Do(r)
	if err != nil {
		return nil, nil, fmt.Errorf("jwks: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("jwks: %s: status %d", u, resp.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("jwks: %s: %w", u, err)
	case len(content) > maxDocument:
		return nil, nil, fmt.Errorf("jwks: %s: more than %d bytes", u, maxDocument)
	}
	return content, resp.Header, nil
}

// discover returns the URL of the keys in the discovery document at u.
func discover(ctx context.Context, client *http.Client, u *url.URL, issuer string) (*url.URL, error) {
	content, _, err := fetch(ctx, client, u)
	if err != nil {
		return nil, err
	}
	found, location, err := parseDiscovery(content)
	switch {
	case err != nil:
		return nil, fmt.Errorf("jwks: %s: %w", u, err)
	case found != issuer:
		return nil, fmt.Errorf("jwks: %s: it is the document of another issuer", u)
	}
	keys, err := checkURL(location)
	switch {
	case err != nil:
		return nil, fmt.Errorf("jwks: %s: jwks_uri: %w", u, err)
	case keys.Scheme != "https" && !plainLoopback(u):
		return nil, fmt.Errorf("jwks: %s: jwks_uri must be https", u)
	}
	return keys, nil
}

// parseDiscovery returns the fields issuer and jwks_uri of a discovery document.
func parseDiscovery(content []byte) (issuer, keys string, err error) {
	r, err := strictjson.NewReader(content)
	if err != nil {
		return "", "", err
	}
	_, err = r.Object([]string{"issuer", "jwks_uri"}, func(key string) error {
		text, err := r.Text()
		if key == "issuer" {
			issuer = text
		} else {
			keys = text
		}
		return err
	})
	return issuer, keys, err
}

// lifetime returns how long a response may be used (RFC 9111, section 5.2.2), or ifNone if it does not say. Only
// max-age, no-cache and no-store count: this cache is private.
func lifetime(h http.Header, ifNone time.Duration) time.Duration {
	result := ifNone
	for _, line := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
			switch name {
			case "no-cache", "no-store":
				return 0
			case "max-age":
				if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
					result = time.Duration(n) * time.Second
				}
			}
		}
	}
	if age, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
		result = max(0, result-time.Duration(age)*time.Second)
	}
	return result
}
