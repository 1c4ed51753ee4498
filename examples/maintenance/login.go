package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"time"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
)

// logins begins a session on a hub.
type logins struct {
	url, signIn            string
	provider, user, secret string
	output                 string
}

func (c *logins) flags(f *flag.FlagSet) {
	f.StringVar(&c.url, "hub", "", "Begin a session on the hub whose management API is at this `URL`. Required.")
	f.StringVar(&c.signIn, "sign-in", "", "Sign in at this `URL`. Default: \"signin\" beside -hub.")
	f.StringVar(&c.provider, "provider", "",
		"Sign in by the provider of this `name`, in a browser. Default: the only one of the hub.")
	f.StringVar(&c.user, "hub-user", "", "Sign in as this `user` with a password instead.")
	f.StringVar(&c.secret, "hub-secret-file", "-",
		"Read the password of -hub-user from this `file`. -: standard input, or the terminal.")
	f.StringVar(&c.output, "o", "", "Write the session to this `file`, with the mode 0600. Default: standard output.")
}

// run signs in, and shows the value of the session.
func (c *logins) run(ctx context.Context, p *program, args []string) error {
	if err := none(args); err != nil {
		return err
	}
	switch {
	case c.url == "":
		return misusef("-hub is required")
	case c.user != "" && c.provider != "":
		return misusef("-provider and -hub-user exclude each other")
	case c.user == "" && c.secret != "-":
		return misusef("-hub-secret-file needs -hub-user")
	case p.dryRun:
		return misusef("a login has no -dry-run")
	}
	at, err := c.signInURL()
	if err != nil {
		return err
	}
	to, err := client.NewSignIn(at, &client.Options{UserAgent: "registry-maintenance"})
	if err != nil {
		return misusef("-sign-in: %w", err)
	}
	var in types.SignedIn
	if c.user != "" {
		in, err = c.byPassword(ctx, p, to)
	} else {
		in, err = c.byProvider(ctx, p, to)
	}
	if err != nil {
		return hubError(err)
	}
	return c.show(p, in)
}

// signInURL returns the URL of the sign-in.
func (c *logins) signInURL() (string, error) {
	if c.signIn != "" {
		return c.signIn, nil
	}
	u, err := url.Parse(c.url)
	if err != nil {
		return "", misusef("-hub: the URL is malformed") // the error would repeat credentials in the URL
	}
	u.Path, u.RawPath = path.Join(path.Dir(path.Clean("/"+u.Path)), "signin"), ""
	return u.String(), nil
}

func (c *logins) byPassword(ctx context.Context, p *program, to *client.SignIn) (types.SignedIn, error) {
	password, err := secretFrom(p, c.secret, "Password: ")
	if err != nil {
		return types.SignedIn{}, err
	}
	return to.Password(ctx, c.user, password)
}

// byProvider asks the user to confirm a sign-in in a browser, and waits.
func (c *logins) byProvider(ctx context.Context, p *program, to *client.SignIn) (types.SignedIn, error) {
	if c.provider == "" {
		methods, err := to.Methods(ctx)
		switch {
		case err != nil:
			return types.SignedIn{}, err
		case len(methods.Providers) == 0:
			return types.SignedIn{}, misusef("the hub has no provider: use -hub-user")
		case len(methods.Providers) > 1:
			return types.SignedIn{}, misusef("the hub has several providers: use -provider, such as -provider %s",
				methods.Providers[0].Name)
		}
		c.provider = methods.Providers[0].Name
	}
	begun, err := to.Device(ctx, c.provider)
	if err != nil {
		return types.SignedIn{}, err
	}
	p.shown.Close()
	fmt.Fprintf(p.errs, "Open %q in a browser, and type the code %q.\n", begun.VerificationURI, begun.UserCode)
	if begun.VerificationURIComplete != "" {
		fmt.Fprintf(p.errs, "This address has the code already: %q\n", begun.VerificationURIComplete)
	}
	return to.Wait(ctx, c.provider, begun)
}

// show writes the value of a session.
func (c *logins) show(p *program, in types.SignedIn) error {
	if in.Session == "" {
		return errors.New("the hub has returned no session")
	}
	if c.output != "" {
		if err := writeSecret(c.output, in.Session); err != nil {
			return err
		}
		in.Session = ""
	}
	fmt.Fprintf(p.errs, "signed in as %q until %s\n", in.Name, in.Expires.Format(time.RFC3339))
	return p.result(in, func(w io.Writer) {
		if in.Session != "" {
			fmt.Fprintln(w, in.Session)
		}
	})
}

// writeSecret writes a file that only the user can read. A file of the name is replaced, whatever its mode is.
func writeSecret(name, secret string) error {
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return misuse{err}
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return misuse{err}
	}
	_, err = fmt.Fprintln(f, secret)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// logouts ends the session of the caller on a hub.
type logouts struct {
	hub hub
}

func (c *logouts) flags(f *flag.FlagSet) { c.hub.flags(f) }

// run ends the session of the request.
func (c *logouts) run(ctx context.Context, p *program, args []string) error {
	if err := none(args); err != nil {
		return err
	}
	if !c.hub.used() {
		return misusef("-hub is required")
	}
	if err := c.hub.check(""); err != nil {
		return err
	}
	hub, err := c.hub.client(p)
	if err != nil {
		return err
	}
	for s, err := range hub.Sessions(ctx) {
		if err != nil {
			return hubError(err)
		}
		if !s.Current {
			continue
		}
		if !p.dryRun {
			if err := hub.EndSession(ctx, s.ID, client.AnyVersion); err != nil {
				return hubError(err)
			}
		}
		return p.result(map[string]string{"done": "the session has ended"},
			func(w io.Writer) { fmt.Fprintln(w, "the session has ended") })
	}
	return misusef("there is no session: the credentials are a password or a token")
}
