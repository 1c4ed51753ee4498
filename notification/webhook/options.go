package webhook

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification/format"
)

// The defaults of [Options].
const (
	DefaultTimeout       = 20 * time.Second
	DefaultMaxRetryAfter = time.Hour
	DefaultMaxEvents     = 20
)

// Options are the options of [New].
type Options struct {
	// Format encodes the events. Default: format.CNCF(nil).
	Format format.Format
	// Secrets sign each request, in this order. A secret is "whsec_" and 24 to 64 bytes in base64,
	// for HMAC-SHA256, or "whsk_" and an ed25519 private key in base64. See [NewSecret] and
	// [NewKeyPair]. Default: none, requests are not signed.
	Secrets []auth.Secret
	// Authorization is the header Authorization, such as "Bearer TOKEN". Default: "", none.
	Authorization auth.Secret
	// Header has further headers. Those that this package sets itself are refused: Host,
	// Authorization, Content-Type, Content-Length, User-Agent, hop-by-hop headers, and all that
	// begin with Webhook- and Ce-.
	Header http.Header
	// UserAgent is the header User-Agent. Default: "registrykit-webhook/1".
	UserAgent string
	// Timeout is the maximum time of one attempt, from the look-up of the name to the end of the
	// response. Default: 20 seconds.
	Timeout time.Duration
	// MaxRetryAfter limits the time that a receiver asks for with Retry-After. Default: 1 hour.
	MaxRetryAfter time.Duration
	// MaxEvents is the maximum number of events in one request. Default: 20, which keeps a body
	// below the 20 KB that Standard Webhooks recommends. Formats with one event in each message
	// send fewer.
	MaxEvents int
	// AllowPrivate permits every address, also loopback and private ones. Set it if the URLs come
	// from the operator alone. Default: false.
	AllowPrivate bool
	// AllowPrefixes permits further addresses, such as 10.1.2.0/24. Default: none.
	AllowPrefixes []netip.Prefix
	// Proxy is the URL of a proxy for all requests: http, https or socks5. The proxy then resolves
	// the name and must check the address. Default: nil, no proxy, also none of the environment.
	Proxy *url.URL
	// TLS is the configuration of TLS, for certificates of a private authority or a client.
	// Default: nil, the authorities of the system.
	TLS *tls.Config
	// Transport sends the requests in place of the transport of this package. AllowPrivate,
	// AllowPrefixes, Proxy and TLS must not be set then: addresses are not checked, and the limit of
	// headers and the use of proxies are those of Transport. Default: nil.
	Transport http.RoundTripper
	// Observe is called after each attempt, for a log of deliveries. Many goroutines call it at
	// once. Default: nil.
	Observe func(Attempt)
}

// Attempt describes one request.
type Attempt struct {
	// URL is the scheme and host of the receiver. The rest of the URL is left out, because it often
	// contains a secret.
	URL string
	// ID is the header webhook-id.
	ID string
	// Events are the IDs of the events in the request.
	Events []string
	// Started is when the attempt began.
	Started time.Time
	// Duration is how long it took.
	Duration time.Duration
	// Status is the status of the response, or 0 if there was none.
	Status int
	// Response is the beginning of the body of the response: at most 200 bytes, without control
	// characters and without the secrets that this package knows. It is empty for 2xx.
	Response string
	// Err is the error of the attempt, or nil if the receiver accepted the request.
	Err error
}
