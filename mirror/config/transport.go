package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/registrykit/registry/certfile"
	"github.com/registrykit/registry/internal/strictyaml"
)

// transport is how requests reach an upstream. The zero value is the default transport.
type transport struct {
	proxy                 string // a URL, or "none"
	ca                    string
	clientCert, clientKey string
}

// noProxy is the value of the key proxy for direct connections.
const noProxy = "none"

// transportKeys are the keys of an upstream about connections.
var transportKeys = []key[upstream]{
	{"proxy", func(u *upstream, v *value) (err error) { u.transport.proxy, err = v.proxy(); return err }},
	{"ca", func(u *upstream, v *value) (err error) { u.transport.ca, err = v.path(); return err }},
	{"clientCert", func(u *upstream, v *value) (err error) { u.transport.clientCert, err = v.path(); return err }},
	{"clientKey", func(u *upstream, v *value) (err error) { u.transport.clientKey, err = v.path(); return err }},
}

// proxy returns the URL of a proxy, or noProxy.
func (v *value) proxy() (string, error) {
	text, err := v.text()
	if err != nil || text == noProxy {
		return text, err
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return "", v.errorf(`this must be a URL such as http://proxy.example:3128, or "none"`)
	}
	if u.User != nil { // the URL is in this file, and passwords must not be
		return "", v.errorf("the URL must not have a user; use the variable HTTPS_PROXY of the environment for that")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return text, nil
	}
	return "", v.errorf("the scheme must be http, https, socks5 or socks5h")
}

// maxCA is the maximum size of the file of authorities, in bytes.
const maxCA = 4 << 20

// open returns the transport, or nil for the default.
func (t *transport) open() (http.RoundTripper, error) {
	if *t == (transport{}) {
		return nil, nil
	}
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		base = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	tr := base.Clone()
	if t.proxy != "" {
		tr.Proxy = nil
	}
	if t.proxy != "" && t.proxy != noProxy {
		u, err := url.Parse(t.proxy)
		if err != nil {
			return nil, errors.New("proxy: malformed") // checked before
		}
		tr.Proxy = http.ProxyURL(u)
	}
	tr.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	tr.ForceAttemptHTTP2 = true // a TLS configuration would turn HTTP/2 off
	if err := t.trust(tr.TLSClientConfig); err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	if err := t.present(tr.TLSClientConfig); err != nil {
		return nil, fmt.Errorf("clientCert: %w", err)
	}
	// The limit of requests at a time bounds the connections. Idle ones are kept for the next pull.
	tr.MaxIdleConnsPerHost, tr.IdleConnTimeout = 16, 90*time.Second
	return tr, nil
}

// trust adds authorities to those of the system.
func (t *transport) trust(c *tls.Config) error {
	if t.ca == "" {
		return nil
	}
	content, err := strictyaml.ReadFile(t.ca, maxCA)
	if err != nil {
		return err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(content) {
		return fmt.Errorf("%s: no certificate in PEM", t.ca)
	}
	c.RootCAs = pool
	return nil
}

// present adds a client certificate. Renewed files take effect without a restart.
func (t *transport) present(c *tls.Config) error {
	switch {
	case t.clientCert == "" && t.clientKey == "":
		return nil
	case t.clientCert == "":
		return errors.New("clientKey needs clientCert")
	}
	key := t.clientKey
	if key == "" {
		key = t.clientCert
	}
	cert, err := certfile.New(t.clientCert, key, nil)
	if err != nil {
		return err
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return cert.GetCertificate(&tls.ClientHelloInfo{})
	}
	return nil
}
