package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
)

// ErrAddress is wrapped in an error if the name of the receiver resolves to an address that is not
// allowed. The next attempt resolves the name again.
var ErrAddress = errors.New("webhook: the address is not allowed")

// Webhook is a [notification.Sink] that sends events to an HTTP endpoint. It is safe for concurrent
// use.
type Webhook struct {
	url     *url.URL
	shown   string
	opts    Options
	signers []signer
	header  http.Header // of each request
	client  http.RoundTripper
	redact  redactor
}

// New returns a Webhook that sends POST requests to a URL with the scheme https or http. It starts
// nothing.
//
// New returns an error for an invalid URL, secret or option, which does not contain the URL or a
// secret. It refuses a URL with a user or password, for which there is Options.Authorization, and a
// URL with a fragment.
func New(rawURL string, opts *Options) (*Webhook, error) {
	w := &Webhook{opts: options.Value(opts)}
	var err error
	if w.url, err = parseURL(rawURL); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	w.shown = shown(w.url)
	if err := w.defaults(); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	for i, s := range w.opts.Secrets {
		sign, err := newSigner(s)
		if err != nil {
			return nil, fmt.Errorf("webhook: secret %d: %w", i+1, err)
		}
		w.signers = append(w.signers, sign)
	}
	if w.header, err = header(&w.opts); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	if w.client, err = transport(w.url, &w.opts); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	w.redact = newRedactor(w.url, &w.opts)
	return w, nil
}

// parseURL returns errors without the text of the URL.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("the URL is malformed")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the URL does not begin with https:// or http://")
	case u.User != nil:
		return nil, errors.New("the URL contains a user: set Authorization instead")
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host")
	case u.Fragment != "":
		return nil, errors.New("the URL has a fragment, which is never sent")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, errors.New("the port of the URL is not one of 1 to 65535")
		}
	}
	return u, nil
}

func (w *Webhook) defaults() error {
	o := &w.opts
	if o.Timeout < 0 || o.MaxRetryAfter < 0 || o.MaxEvents < 0 {
		return errors.New("an option is negative")
	}
	if o.Format == nil {
		o.Format = format.CNCF(nil)
	}
	if o.UserAgent == "" {
		o.UserAgent = "registrykit-webhook/1"
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxRetryAfter == 0 {
		o.MaxRetryAfter = DefaultMaxRetryAfter
	}
	if o.MaxEvents == 0 {
		o.MaxEvents = DefaultMaxEvents
	}
	return nil
}

// header returns the headers that all requests have.
func header(o *Options) (http.Header, error) {
	h := make(http.Header)
	for name, values := range o.Header {
		if reserved(name) {
			return nil, fmt.Errorf("the header %.64q is set by this package", name)
		}
		for _, v := range values {
			if !validHeader(name, v) {
				return nil, fmt.Errorf("the header %.64q is invalid", name)
			}
			h.Add(name, v)
		}
	}
	if !validHeader("User-Agent", o.UserAgent) {
		return nil, errors.New("the user agent is invalid")
	}
	h.Set("User-Agent", o.UserAgent)
	if v := o.Authorization.Value(); v != "" {
		if !validHeader("Authorization", v) {
			return nil, errors.New("the value for Authorization is invalid")
		}
		h.Set("Authorization", v)
	}
	return h, nil
}

// transport returns what sends the requests.
func transport(u *url.URL, o *Options) (http.RoundTripper, error) {
	if o.Transport != nil {
		if o.AllowPrivate || o.AllowPrefixes != nil || o.Proxy != nil || o.TLS != nil {
			return nil, errors.New("options of addresses, the proxy and TLS have no effect beside a transport")
		}
		return o.Transport, nil
	}
	allowed := addresses{all: o.AllowPrivate, allow: o.AllowPrefixes}
	t := &http.Transport{
		TLSClientConfig:        o.TLS.Clone(),
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxResponse,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    o.Timeout,
		// Without pings, all requests of a broken HTTP/2 connection would wait for their timeout.
		HTTP2: &http.HTTP2Config{SendPingTimeout: o.Timeout / 2, PingTimeout: o.Timeout / 2},
	}
	if o.Proxy == nil {
		t.DialContext = allowed.dialer().DialContext
		return t, nil
	}
	switch o.Proxy.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return nil, errors.New("the URL of the proxy does not begin with http://, https:// or socks5://")
	}
	// The dialer connects to the proxy, so only a literal address can be checked.
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := allowed.check(ip); err != nil {
			return nil, fmt.Errorf("behind a proxy: %w", err)
		}
	}
	t.Proxy = http.ProxyURL(o.Proxy)
	return t, nil
}

// Notify makes one attempt for each message that the format makes of the events. It stops at the
// first error, see the package comment. The error is a [notification.PartialError] if events were
// delivered before.
func (w *Webhook) Notify(ctx context.Context, events []notification.Event) error {
	for done := 0; done < len(events); {
		group := events[done:min(done+w.opts.MaxEvents, len(events))]
		sent, several, err := w.send(ctx, group)
		if several && errors.Is(err, notification.ErrRefused) {
			for ; sent < len(group); sent++ {
				if _, _, err = w.send(ctx, group[sent:sent+1]); err != nil {
					break
				}
			}
		}
		if err != nil {
			return notification.Partial(done+sent, err)
		}
		done += len(group)
	}
	return nil
}

// send sends events, and returns how many were delivered, and whether the message that failed
// contains several of them.
func (w *Webhook) send(ctx context.Context, events []notification.Event) (sent int, several bool, err error) {
	messages, err := w.opts.Format.Encode(events)
	if err != nil {
		return 0, false, err
	}
	for _, m := range messages {
		if err := w.attempt(ctx, m); err != nil {
			return min(sent, len(events)), m.Events > 1, err
		}
		sent += m.Events
	}
	return len(events), false, nil
}

// String returns the scheme and host of the URL.
func (w *Webhook) String() string { return w.shown }

// CloseIdleConnections closes connections that are kept for later requests. The Webhook stays
// usable.
func (w *Webhook) CloseIdleConnections() {
	if t, ok := w.client.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
