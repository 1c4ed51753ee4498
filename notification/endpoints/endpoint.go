package endpoints

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/filter"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/webhook"
)

// Endpoint is a webhook endpoint, as [Endpoints.Get] returns it.
type Endpoint struct {
	// ID identifies the endpoint.
	ID ID
	// Scope is what the endpoint gets the events of. It never changes.
	Scope Scope
	Settings
	// Disabled is why the endpoint gets no events. It is nil for an enabled endpoint.
	Disabled *Disabled
	// SecretSince is when the secret was made. PreviousUntil is how long the previous secret also signs, or zero.
	SecretSince, PreviousUntil time.Time
	// Created and Changed are when the endpoint was created and last changed, CreatedBy and ChangedBy by whom.
	Created, Changed     time.Time
	CreatedBy, ChangedBy string
}

// Settings are what a user chooses for an endpoint.
type Settings struct {
	// Name is a name for people, of 1 to 100 characters. It need not be unique.
	Name string
	// URL is that of the receiver: https or http, without user and fragment, at most 2048 bytes. It is printed as
	// "***", because it may contain a token.
	URL auth.Secret
	// Format is the name of a format, see format.Named. Default: format.NameCNCF.
	Format string
	// Actions selects events by action, without exceptions. Default: all but Pull. Pull is refused unless Options.Pulls
	// is set. Missing is always selected, and must not be in the list.
	Actions []notification.Action
	// Kinds selects events by kind, without exceptions. Default: all but blobs.
	Kinds []notification.Kind
	// Repositories and Tags are patterns, see package filter. Default: all.
	Repositories, Tags []string
	// Authorization is the value of the header Authorization of each request. It is never shown. Default: none.
	Authorization auth.Secret
}

// Disabled says why an endpoint is disabled.
type Disabled struct {
	// Cause is Gone or Operator.
	Cause Cause `json:"cause"`
	// Time is when it was disabled.
	Time time.Time `json:"time"`
	// By is who has disabled it, or "" for Gone.
	By string `json:"by,omitempty"`
}

// Cause is why an endpoint is disabled.
type Cause string

const (
	// Gone means that the receiver has answered 410.
	Gone Cause = "gone"
	// Operator means that a user has disabled the endpoint.
	Operator Cause = "operator"
)

// The limits of settings.
const (
	maxName          = 100
	maxURL           = 2048
	maxAuthorization = 2048
	maxActions       = 20
	maxKinds         = 10
	maxPatterns      = 50
)

// actions are those that Settings.Actions may contain, and Pull if Options.Pulls is set.
var actions = []notification.Action{notification.Push, notification.Pull, notification.Mount, notification.Delete,
	notification.Move, notification.Restore, notification.Quota, notification.Account}

// record is the stored form of an endpoint. Its texts are not of type auth.Secret, which is stored as "***".
type record struct {
	ID            ID                    `json:"id"`
	Name          string                `json:"name"`
	URL           string                `json:"url"`
	Format        string                `json:"format"`
	Actions       []notification.Action `json:"actions,omitempty"`
	Kinds         []notification.Kind   `json:"kinds,omitempty"`
	Repositories  []string              `json:"repositories,omitempty"`
	Tags          []string              `json:"tags,omitempty"`
	Authorization string                `json:"authorization,omitempty"`
	Secret        string                `json:"secret"`
	SecretSince   time.Time             `json:"secretSince"`
	Previous      string                `json:"previous,omitempty"`
	PreviousUntil time.Time             `json:"previousUntil,omitzero"`
	Disabled      *Disabled             `json:"disabled,omitempty"`
	Created       time.Time             `json:"created"`
	CreatedBy     string                `json:"createdBy,omitempty"`
	Changed       time.Time             `json:"changed"`
	ChangedBy     string                `json:"changedBy,omitempty"`
	// Of is what Options.Owner has said of the namespace at the creation. It is nil without that option.
	Of *string `json:"of,omitempty"`
}

// endpoint returns the public form of a record at a time.
func (r *record) endpoint(now time.Time) Endpoint {
	s, _ := r.ID.Scope() // checked when it was read
	e := Endpoint{ID: r.ID, Scope: s, Disabled: r.Disabled, SecretSince: r.SecretSince,
		Created: r.Created, Changed: r.Changed, CreatedBy: r.CreatedBy, ChangedBy: r.ChangedBy,
		Settings: Settings{Name: r.Name, URL: auth.Secret(r.URL), Format: r.Format, Actions: slices.Clone(r.Actions),
			Kinds: slices.Clone(r.Kinds), Repositories: slices.Clone(r.Repositories), Tags: slices.Clone(r.Tags),
			Authorization: auth.Secret(r.Authorization)}}
	if r.PreviousUntil.After(now) {
		e.PreviousUntil = r.PreviousUntil
	}
	return e
}

// set copies settings into a record.
func (r *record) set(s Settings) {
	r.Name, r.URL, r.Format, r.Authorization = s.Name, s.URL.Value(), s.Format, s.Authorization.Value()
	r.Actions, r.Kinds, r.Repositories, r.Tags = s.Actions, s.Kinds, s.Repositories, s.Tags
}

// secrets returns the secrets that sign at a time.
func (r *record) secrets(now time.Time) []auth.Secret {
	list := []auth.Secret{auth.Secret(r.Secret)}
	if r.Previous != "" && r.PreviousUntil.After(now) {
		list = append(list, auth.Secret(r.Previous))
	}
	return list
}

// filter returns the options of the filter of an endpoint.
func (s *Settings) filter() *filter.Options {
	o := &filter.Options{Actions: s.Actions, Kinds: s.Kinds, Repositories: s.Repositories, Tags: s.Tags}
	if len(o.Actions) == 0 {
		o.Actions = []notification.Action{"!" + notification.Pull}
	}
	o.NoBlobs = len(o.Kinds) == 0
	return o
}

// check fills in the defaults of settings, and checks them.
//
// Errors: ErrInvalid, without the URL and the value of Authorization.
func (e *Endpoints) check(s *Settings) error {
	if s.Format == "" {
		s.Format = format.NameCNCF
	}
	var err error
	switch n := utf8.RuneCountInString(s.Name); {
	case n == 0 || n > maxName || !utf8.ValidString(s.Name) || strings.TrimSpace(s.Name) != s.Name ||
		strings.IndexFunc(s.Name, func(c rune) bool { return !unicode.IsPrint(c) }) >= 0:
		err = fmt.Errorf("a name has 1 to %d printable characters", maxName)
	case len(s.URL) > maxURL:
		err = fmt.Errorf("a URL has at most %d bytes", maxURL)
	case len(s.Authorization) > maxAuthorization:
		err = fmt.Errorf("a value of Authorization has at most %d bytes", maxAuthorization)
	case len(s.Actions) > maxActions || len(s.Kinds) > maxKinds:
		err = fmt.Errorf("at most %d actions and %d kinds", maxActions, maxKinds)
	case slices.ContainsFunc(s.Actions, func(a notification.Action) bool { return !slices.Contains(actions, a) }):
		err = fmt.Errorf("an action is not one of %q", actions)
	case slices.ContainsFunc(s.Kinds, func(k notification.Kind) bool { return strings.HasPrefix(string(k), "!") }):
		err = errors.New("a kind has no exceptions")
	case len(s.Repositories) > maxPatterns || len(s.Tags) > maxPatterns:
		err = fmt.Errorf("at most %d patterns", maxPatterns)
	case slices.Contains(s.Actions, notification.Pull) && !e.opts.Pulls:
		err = errors.New("the registry does not store the events of pulls")
	default:
		err = e.compile(s)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// compile returns an error for settings that make no webhook or no filter.
func (e *Endpoints) compile(s *Settings) error {
	if _, err := filter.NewSelector(s.filter()); err != nil {
		return err
	}
	if _, err := webhook.New(s.URL.Value(), &webhook.Options{}); err != nil {
		return err
	}
	o, err := e.webhookOptions(s.Format, s.Authorization)
	if err != nil {
		return err
	}
	_, err = webhook.New(s.URL.Value(), o)
	return err
}

// webhookOptions returns the options of the requests of an endpoint, without secrets.
func (e *Endpoints) webhookOptions(name string, authorization auth.Secret) (*webhook.Options, error) {
	o := e.opts.Webhook
	var err error
	if o.Format, err = format.Named(name, &format.Options{ExternalURL: e.opts.ExternalURL}); err != nil {
		return nil, err
	}
	o.Authorization = authorization
	return &o, nil
}
