package site

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/registrykit/registry/examples/hub/config"
	"github.com/registrykit/registry/notification/sse"
	"github.com/registrykit/registry/web"
)

// pagePath is the path of the page.
const pagePath = "/"

// openPage makes the page. Its events are those of all replicas, from the outbox.
func (h *Hub) openPage(context.Context) (err error) {
	h.stream, err = sse.New(&sse.Options{Authenticator: h.sessions.Authenticator(h.users), Authorizer: h.tokens,
		Source: h.box, Logger: h.log})
	if err != nil {
		return err
	}
	h.work = append(h.work, job{"the stream of events", func(ctx context.Context) error {
		<-ctx.Done()
		h.stream.Close() // the server waits for its requests
		return ctx.Err()
	}})
	c := &h.config.Page
	opts := &web.Options{Path: pagePath, Name: c.Name, Look: web.Look{Accent: c.Accent}, Without: c.Without,
		Languages: c.Languages, Events: h.stream, Logger: h.log,
		SignIn: &web.SignIn{Path: signInPath + "/", Password: true}}
	for _, p := range h.config.SignIn.Providers {
		opts.SignIn.Providers = append(opts.SignIn.Providers, web.Provider{Name: p.Name, Title: p.Title, Issuer: p.Issuer})
	}
	for _, l := range c.Links {
		opts.Links = append(opts.Links, web.Link(l))
	}
	if opts.Look.Logo, err = readFile(c.Logo); err != nil {
		return err
	}
	if opts.Look.CSS, err = readFile(c.CSS); err != nil {
		return err
	}
	if external, err := url.Parse(h.config.Server.ExternalURL); err == nil {
		opts.Registry = external.Host
	}
	h.page, err = web.New(h.api, opts)
	return err
}

// readFile returns the content of a file of the configuration, or nil for "".
func readFile(path config.Path) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(string(path))
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	return content, nil
}
