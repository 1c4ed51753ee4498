package webhook

import (
	"context"
	"errors"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
)

// ErrAddress is wrapped in an error if the receiver's name resolves to an address that is not
// allowed.
var ErrAddress = errors.New("webhook: the address is not allowed")

// Webhook is a [notification.Sink] that sends events to an HTTP endpoint.
type Webhook struct{ opts Options }

// New returns a Webhook that sends POST requests to a URL with the scheme https or http. It starts
// nothing. Errors: an invalid URL or option is an error, which does not contain the URL or secrets.
// A URL with a user or password is refused: use Options.Authorization.
func New(rawURL string, opts *Options) (*Webhook, error) {
	return &Webhook{opts: options.Value(opts)}, nil
}

// Notify makes one attempt for each message that the format makes of the events. It stops at the
// first error, see the package comment. The error is a [notification.PartialError] if events were
// delivered before.
func (w *Webhook) Notify(ctx context.Context, events []notification.Event) error {
	return errors.ErrUnsupported
}

// String returns the scheme and host of the URL.
func (w *Webhook) String() string { return "" }
