package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/notification"
	hooks "github.com/registrykit/registry/notification/config"
	"github.com/registrykit/registry/notification/outbox"
)

// accountsWord begins the names of all commands for accounts.
const accountsWord = "accounts"

// accountCommands returns all commands for accounts.
func accountCommands() []entry {
	return slices.Concat(setupCommands(), userCommands(), organisationCommands(), memberCommands(), teamCommands(),
		robotCommands(), tokenCommands(), repositoryCommands(), transferCommands())
}

// accountEntry returns a command for accounts. names are the arguments beside the flags.
func accountEntry(name, names, does string, c *account) entry {
	c.names = strings.Fields(names)
	args := strings.TrimSpace("-storage S|-hub URL " + names)
	return entry{accountsWord + " " + name, args, does, c}
}

// account is a command for accounts.
type account struct {
	at       place
	hub      hub
	by       accounts.Actor
	webhooks list
	names    []string // of the arguments beside the flags
	create   bool     // the storage may be new

	more func(f *flag.FlagSet)                       // registers further flags, unless nil
	do   func(ctx context.Context, s *session) error // does the work
}

func (c *account) flags(f *flag.FlagSet) {
	c.at.storageOrHubFlag(f)
	c.hub.flags(f)
	f.StringVar(&c.by.Name, "by", "maintenance",
		"State this `name` as the actor in events. With -hub, the actor is -hub-user.")
	f.StringVar(&c.by.Reason, "reason", "", "State this `reason` in events. Default: none.")
	f.BoolVar(&c.by.Force, "force", false, "Permit reserved names, names in quarantine, and names below which there are "+
		"repositories. Default: false.")
	f.Var(&c.webhooks, "webhook", "Leave the event of the change in the storage, from which the servers send it to the "+
		"receivers of this `URL or file`. It must be the same as for the servers. May be repeated. Default: no event.")
	if c.more != nil {
		c.more(f)
	}
}

// session is one call of a command for accounts.
type session struct {
	accounts.Manager
	own  *accounts.Accounts // those of a storage, or nil
	hub  *client.Client     // or nil
	p    *program
	by   accounts.Actor
	args []string
}

func (c *account) run(ctx context.Context, p *program, args []string) (err error) {
	if len(args) != len(c.names) {
		if len(c.names) == 0 {
			return none(args)
		}
		return misusef("%s: required, and nothing else beside the flags", strings.Join(c.names, " "))
	}
	if err := c.hub.check(c.at.name); err != nil {
		return err
	}
	if c.hub.used() {
		return c.remote(ctx, p, args)
	}
	if c.create {
		err = c.at.create(ctx, p.dryRun)
	} else {
		err = c.at.open(ctx)
	}
	if err != nil {
		return err
	}
	defer func() { err = closing(&c.at, err) }()
	sink, err := c.sink()
	if err != nil {
		return err
	}
	all, err := accounts.New(c.at.driver, &accounts.Options{Sink: sink, InUse: accounts.RepositoriesOf(c.at.store)})
	if err != nil {
		return err
	}
	return explained(c.do(ctx, &session{Manager: all, own: all, p: p, by: c.by, args: args}))
}

// remote runs the command on a hub.
func (c *account) remote(ctx context.Context, p *program, args []string) error {
	if len(c.webhooks) > 0 {
		return misusef("-webhook is for -storage: a hub sends its events itself")
	}
	hub, err := c.hub.client(p)
	if err != nil {
		return err
	}
	return hubError(explained(c.do(ctx, &session{Manager: newRemote(hub), hub: hub, p: p, by: c.by, args: args})))
}

// sink returns a Sink that stores events for the webhooks, or nil. The servers deliver them.
func (c *account) sink() (notification.Sink, error) {
	if len(c.webhooks) == 0 {
		return nil, nil
	}
	loaded, err := hooks.Load(c.webhooks, &hooks.Options{AllowPrivate: true})
	if err != nil {
		return nil, misusef("-webhook: %w", err)
	}
	destinations := make([]outbox.Destination, len(loaded))
	for i, w := range loaded {
		destinations[i] = outbox.Destination{Name: w.Name, Sink: notification.SinkFunc(
			func(context.Context, notification.Event) error { return errors.New("the servers deliver") })}
	}
	return outbox.New(c.at.driver, destinations, &outbox.Options{Instance: "maintenance"})
}

// explained wraps an error of accounts, so that the program has the right exit status.
func explained(err error) error {
	switch {
	case errors.Is(err, accounts.ErrInvalid), errors.Is(err, accounts.ErrUnknown):
		return misuse{err}
	case errors.Is(err, accounts.ErrTaken), errors.Is(err, accounts.ErrLast), errors.Is(err, accounts.ErrInUse),
		errors.Is(err, accounts.ErrLimit), errors.Is(err, accounts.ErrSetup):
		return ruled{err}
	}
	return err
}

// ruled is the error of a change that a rule of accounts rejects.
type ruled struct{ error }

func (r ruled) Unwrap() error { return r.error }

// find returns the account with a name, which must be of one of the kinds.
func (s *session) find(ctx context.Context, name string, kinds ...accounts.Kind) (*accounts.Account, error) {
	a, err := s.Lookup(ctx, name)
	switch {
	case errors.Is(err, accounts.ErrUnknown):
		return nil, misusef("there is no account with the name %q", name)
	case err != nil:
		return nil, err
	case len(kinds) > 0 && !slices.Contains(kinds, a.Kind):
		wanted := make([]string, len(kinds))
		for i, kind := range kinds {
			wanted[i] = article(string(kind))
		}
		return nil, misusef("%s: must be the name of %s, and is that of %s", name, strings.Join(wanted, " or "),
			article(string(a.Kind)))
	}
	return a, nil
}

// known returns an error that says what does not exist if err is accounts.ErrUnknown.
func known(err error, format string, args ...any) error {
	if errors.Is(err, accounts.ErrUnknown) {
		return misusef(format, args...)
	}
	return err
}

// change makes a change, unless this is a dry run, and prints v, or the sentence what if v is nil. It also prints it if
// only the event of the change could not be stored, because the change was made.
func (s *session) change(v any, what string, do func() error) error {
	var err error
	if !s.p.dryRun {
		err = do()
	}
	if err != nil && !errors.Is(err, accounts.ErrNotified) {
		return err
	}
	if v == nil {
		v = struct {
			Done string `json:"done"`
		}{what}
	}
	return errors.Join(err, s.p.result(v, func(w io.Writer) { fmt.Fprintln(w, what) }))
}

// accountsHelp lists the commands for accounts.
func accountsHelp(w io.Writer) {
	fmt.Fprint(w, "Usage: maintenance accounts COMMAND [flags]\n\nCommands:\n\n")
	for _, e := range accountCommands() {
		fmt.Fprintf(w, "  %s%s\n        %s\n", strings.TrimPrefix(e.name, accountsWord+" "),
			strings.TrimPrefix(e.args, "-storage S|-hub URL"), e.does)
	}
	fmt.Fprint(w, "\nEach needs -storage or -hub. maintenance accounts COMMAND -h lists the flags of a command.\n")
}
