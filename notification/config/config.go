package config

import (
	"fmt"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/filter"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/webhook"
)

// MaxSize is the maximum size of a YAML file, in bytes.
const MaxSize = 1 << 20

// Options are the options of [Load], [ParseURL] and [ParseYAML].
type Options struct {
	// Format is the name of the format of webhooks that name none. Default: format.NameCNCF.
	Format string
	// SecretFile is the path of the file of secrets of webhooks that name none. Default: "", no
	// signature.
	SecretFile string
	// ExternalURL is the URL of the registry for clients, for links in events, see format.Options.
	// Default: "", no links.
	ExternalURL string
	// AllowPrivate permits receivers on loopback and private addresses, see webhook.Options.
	AllowPrivate bool
}

// Webhook is the configuration of one webhook.
type Webhook struct {
	// Name identifies the webhook. It is unique among those of one [Load].
	Name string
	// URL is that of the receiver, without the parameters of this package. It is printed as "***",
	// because it may contain a token.
	URL auth.Secret
	// Format is the name of the format.
	Format string
	// Filter selects the events to send.
	Filter filter.Options
	// Options are the options of the webhook. A program may add to them before it calls Sink, such
	// as Observe.
	Options webhook.Options

	place string // where the webhook is configured, for errors
}

// Load reads webhooks from URLs and YAML files. A value that begins with "http://" or "https://" is
// a URL, any other the path of a file.
//
// Errors: the first mistake, with the line if it is in a file.
func Load(values []string, opts *Options) ([]Webhook, error) {
	var all []Webhook
	for _, v := range values {
		if isURL(v) {
			w, err := ParseURL(v, opts)
			if err != nil {
				return nil, err
			}
			all = append(all, w)
			continue
		}
		more, err := loadYAML(v, opts)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, unique(all)
}

func isURL(value string) bool {
	scheme, _, found := strings.Cut(value, "://")
	return found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// unique returns an error if two webhooks have the same name.
func unique(all []Webhook) error {
	places := make(map[string]string)
	for _, w := range all {
		if first, found := places[w.Name]; found {
			return fmt.Errorf("config: %s: the name %q occurs twice, first in %s", w.place, w.Name, first)
		}
		places[w.Name] = w.place
	}
	return nil
}

// Sink returns the sink of the webhook: a filter, and behind it the webhook. It makes one attempt
// for each message, so an outbox or a queue belongs before it.
//
// Errors: an option that the program has changed is invalid.
func (w Webhook) Sink() (notification.Sink, error) {
	sink, err := webhook.New(w.URL.Value(), &w.Options)
	if err != nil {
		return nil, fmt.Errorf("config: webhook %s: %w", w.Name, err)
	}
	filtered, err := filter.New(sink, &w.Filter)
	if err != nil {
		return nil, fmt.Errorf("config: webhook %s: %w", w.Name, err)
	}
	return filtered, nil
}

// defaults returns a webhook before its fields are set.
func defaults(o Options) Webhook {
	w := Webhook{Format: o.Format}
	if w.Format == "" {
		w.Format = format.NameCNCF
	}
	w.Filter.Actions = []notification.Action{"!" + notification.Pull}
	w.Options.AllowPrivate = o.AllowPrivate
	return w
}

// parsed is the webhook that is being read, with the options of the caller.
type parsed struct {
	Webhook
	opts       Options
	secretFile string
}

func newParsed(opts *Options) *parsed {
	o := options.Value(opts)
	return &parsed{Webhook: defaults(o), opts: o}
}
