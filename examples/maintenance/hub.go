package main

import (
	"errors"
	"flag"
	"os"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/auth"
)

// hub holds the flags for a running hub, on which a command works instead of on a storage.
type hub struct {
	url, user, secret, session string
}

// sessionVariable is the name of the environment variable with the value of a session; see the command login.
const sessionVariable = "REGISTRY_SESSION"

func (h *hub) flags(f *flag.FlagSet) {
	f.StringVar(&h.url, "hub", "", "Work on the running hub whose management API is at this `URL`, such as "+
		"https://hub.example.com/api, instead of on -storage.")
	f.StringVar(&h.user, "hub-user", "",
		"Log in to -hub as this `user`. Default: use the session of -hub-session-file or of the environment variable "+
			sessionVariable+", or log in as nobody.")
	f.StringVar(&h.secret, "hub-secret-file", "",
		"Read the password or a token of -hub-user from this `file`. Required with -hub-user.")
	f.StringVar(&h.session, "hub-session-file", "",
		"Use the session in this `file`, which login -o has written. Default: no file.")
}

// used reports whether the command works on a hub.
func (h *hub) used() bool { return h.url != "" }

// check returns an error unless there is either a hub or a storage.
func (h *hub) check(storage string) error {
	switch {
	case h.used() && storage != "":
		return misusef("-hub and -storage exclude each other")
	case !h.used() && storage == "":
		return misusef("-storage or -hub is required")
	case !h.used() && (h.user != "" || h.secret != "" || h.session != ""):
		return misusef("-hub-user, -hub-secret-file and -hub-session-file need -hub")
	case h.session != "" && h.user != "":
		return misusef("-hub-session-file and -hub-user exclude each other")
	case (h.user == "") != (h.secret == ""):
		return misusef("-hub-user and -hub-secret-file belong together")
	}
	return nil
}

// client returns a client of the hub.
func (h *hub) client(p *program) (*client.Client, error) {
	opts := &client.Options{Name: h.user, UserAgent: "registry-maintenance"}
	file := h.secret
	if h.session != "" {
		file = h.session
	}
	value := os.Getenv(sessionVariable)
	if file != "" {
		var err error
		if value, err = secretFrom(p, file, "Password: "); err != nil {
			return nil, err
		}
		if value == "" {
			return nil, misusef("%s is empty", file)
		}
	}
	if h.user != "" {
		opts.Secret = auth.Secret(value)
	} else {
		opts.Session = auth.Secret(value)
	}
	c, err := client.New(h.url, opts)
	if err != nil {
		return nil, misusef("-hub: %w", err)
	}
	return c, nil
}

// hubError gives an error of a hub the right exit status.
func hubError(err error) error {
	var e *client.Error
	switch {
	case errors.Is(err, client.ErrConflict), errors.Is(err, client.ErrChanged), errors.Is(err, client.ErrDenied):
		return ruled{err}
	case errors.As(err, &e) && (e.Status == 400 || e.Status == 404):
		return misuse{err}
	}
	return err
}
