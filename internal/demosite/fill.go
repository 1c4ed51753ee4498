package demosite

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// errSync is why the job "sync" fails.
var errSync = errors.New("registry.partner.example: connection refused")

// pull is the key of a context of a request that is a pull.
type pull struct{}

func withPull(ctx context.Context) context.Context { return context.WithValue(ctx, pull{}, true) }

func pulling(ctx context.Context) bool { return ctx.Value(pull{}) != nil }

// identity returns the identity of a user or robot.
func (s *Site) identity(name, secret string) (auth.Identity, error) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(name, secret)
	return s.users.Authenticate(r)
}

// as returns a pusher that pushes as a user.
func (s *Site) as(ctx context.Context, user string) *pusher {
	identity, err := s.identity(user, Password)
	return &pusher{ctx: ctx, to: s.Registry.Backend(identity), err: err}
}

// fill makes the data of a site.
func (s *Site) fill(ctx context.Context, data Data) error {
	boss, err := s.People.CreateUser(ctx, accounts.Actor{}, Boss, Password, nil)
	if err != nil {
		return err
	}
	if err := s.People.AddAdmin(ctx, accounts.Actor{}, boss.ID); err != nil || data == Empty {
		return err
	}
	if err := s.fillPeople(ctx, data == Hostile); err != nil {
		return err
	}
	contents := s.fillContents
	if data == Hostile {
		contents = s.fillHostile
	}
	if err := contents(ctx); err != nil {
		return err
	}
	if err := s.runJobs(ctx); err != nil {
		return err
	}
	return s.index.Refresh(ctx)
}

// runJobs runs each job once, and waits for the end.
func (s *Site) runJobs(ctx context.Context) error {
	if err := s.countDay(ctx, 0); err != nil {
		return err
	}
	for _, name := range []string{"scrub", "collect", "sync", "usage", "replicate"} {
		if err := s.runner.Start(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// upstream is a registry that a site mirrors.
type upstream struct{ *httptest.Server }

// newUpstream starts a registry with an image.
func newUpstream(ctx context.Context) (*upstream, error) {
	store, err := storage.New(ctx, memory.New(nil), nil)
	if err != nil {
		return nil, err
	}
	reg, err := registry.New(store, nil)
	if err != nil {
		return nil, err
	}
	p := &pusher{ctx: ctx, to: store}
	for i, name := range []string{"library/debian", "library/nginx", "grafana/grafana"} {
		var of []ocispec.Descriptor
		for _, arch := range []string{"amd64", "arm64"} {
			of = append(of, p.push(name, service("debian", "13", arch, 2_000_000, time.Now().Add(-300*time.Hour), uint64(i))))
		}
		p.index(name, nil, of, "latest", "13")
	}
	return &upstream{httptest.NewServer(reg)}, p.err
}
