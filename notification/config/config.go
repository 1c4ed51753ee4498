package config

import (
	"errors"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/webhook"
)

// Options are the options of [Load], [ParseURL] and [ParseYAML].
type Options struct {
	// Format is the format of webhooks that name none. Default: format.NameCNCF.
	Format string
	// SecretFile is the file of secrets of webhooks that name none. Default: "", no signature.
	SecretFile string
	// ExternalURL is the URL of the registry for clients, for links in events. Default: "", no links.
	ExternalURL string
	// AllowPrivate permits receivers on loopback and private addresses, see webhook.Options.
	AllowPrivate bool
}

// Webhook is the configuration of one webhook.
type Webhook struct {
	// Name identifies the webhook. It is unique among those of one [Load].
	Name string
	// URL is that of the receiver, without parameters of this package. It may contain secrets.
	URL string
	// FormatName is the name of the format, see format.Named.
	FormatName string
	// Options are the options of the sink. A program may change them before it calls Sink.
	Options webhook.Options
}

// Load reads webhooks from URLs and YAML files. A value that begins with "http://" or "https://" is
// a URL, any other the path of a file. Errors: the first mistake, with its line; two webhooks with
// the same name.
func Load(values []string, opts *Options) ([]Webhook, error) { return nil, errors.ErrUnsupported }

// ParseURL reads one webhook from a URL with parameters.
func ParseURL(url string, opts *Options) (Webhook, error) { return Webhook{}, errors.ErrUnsupported }

// ParseYAML reads webhooks from YAML in UTF-8.
func ParseYAML(content []byte, opts *Options) ([]Webhook, error) { return nil, errors.ErrUnsupported }

// Sink returns the sink of the webhook: a filter, and behind it the webhook.
func (w Webhook) Sink() (notification.Sink, error) { return webhook.New(w.URL, &w.Options) }
