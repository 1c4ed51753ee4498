package client

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/options"
)

// Options are the options of [New]. Each field is optional. nil means the zero Options: an anonymous caller.
type Options struct {
	// Name is the name of an account, and Secret is its password or the value of one of its tokens.
	Name   string
	Secret auth.Secret
	// Session is the value of a session of a command line. It cannot be combined with Name.
	Session auth.Secret
	// PlainHTTP permits credentials over HTTP without TLS. Default: only to a loopback address.
	PlainHTTP bool
	// HTTP sends the requests. Its redirects are not followed. Default: a client with a timeout of 30 seconds until the
	// header of a response.
	HTTP *http.Client
	// UserAgent is the header User-Agent. Default: "registry-client".
	UserAgent string
	// PageSize is the number of elements that a list requests at a time. Default: 100.
	PageSize int
}

// Client is a client of a management API. It is safe for concurrent use.
type Client struct {
	base *url.URL
	opts Options
	http *http.Client
	page *Page // or nil
}

// New returns a client of the API at a URL, such as "https://hub.example.com/api". It makes no request. opts may be
// nil.
//
// Errors: an error for a URL that is not absolute, contains credentials or has another scheme than http and https; for
// credentials without TLS, see Options.PlainHTTP; for an invalid option.
func New(baseURL string, opts *Options) (*Client, error) {
	u, err := url.Parse(strings.TrimRight(baseURL, "/"))
	switch {
	case err != nil:
		return nil, errors.New("client: the URL is malformed") // the error would repeat credentials in the URL
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("client: the URL must have the form https://HOST/PATH")
	case u.User != nil:
		return nil, errors.New("client: the URL contains credentials: use Options.Name and Secret")
	}
	c := &Client{base: u, opts: options.Value(opts)}
	o := &c.opts
	switch {
	case o.Name != "" && o.Session != "":
		return nil, errors.New("client: Options has both a Name and a Session")
	case (o.Name == "") != (o.Secret == ""):
		return nil, errors.New("client: Options.Name and Options.Secret belong together")
	case (o.Name != "" || o.Session != "") && u.Scheme == "http" && !o.PlainHTTP && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("client: %s has no TLS: see Options.PlainHTTP", u.Host)
	case o.PageSize < 0:
		return nil, errors.New("client: Options.PageSize is negative")
	}
	options.Default(&o.PageSize, 100)
	options.Default(&o.UserAgent, "registry-client")
	c.http = o.HTTP
	if c.http == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.ResponseHeaderTimeout = 30 * time.Second
		c.http = &http.Client{Transport: transport}
	}
	return c, nil
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
