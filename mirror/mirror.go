// Package mirror is a [registry.Backend] that pulls through from other registries. Clients pull
// from any number of upstreams by way of one mirror, beside repositories that are pushed to it.
//
//	store, err := storage.New(ctx, d, nil)
//	m, err := mirror.New(ctx, store, d, []mirror.Upstream{
//		{Name: "docker.io", URLs: []string{"https://registry-1.docker.io"}},
//		{Name: "ghcr.io", URLs: []string{"https://ghcr.io"}, Allow: []string{"acme/**"}},
//	}, nil)
//	go m.Run(ctx)                   // evicts, and removes what interrupted fetches have left
//	go store.CollectEvery(ctx, nil) // removes content that nothing references any more
//	reg, err := registry.New(m, &registry.Options{Resolve: m.Resolve})
//	http.Handle("/v2/", m.Middleware(reg))
//
// # Names
//
// Each upstream has a prefix, by default its name: the repository library/alpine of docker.io is
// docker.io/library/alpine of the mirror. Four kinds of requests lead there, see [Mirror.Resolve]:
//
//   - GET /v2/library/alpine/manifests/3?ns=docker.io, as containerd and the kubelet send it;
//   - GET /v2/docker.io/library/alpine/manifests/3, for clients that can name a path;
//   - any path at a host name of Upstream.Hosts;
//   - any path that names no upstream, for the upstream Options.Root, as docker's registry-mirrors
//     send it.
//
// An upstream that is not configured is never contacted, whatever a client sends.
//
// # What is fetched, and when
//
// A blob or manifest is fetched once, when a client first asks for it, and then served from the
// store. Clients read a blob while it arrives. A tag is looked up again after Upstream.TagTTL. An
// index is stored byte for byte, and the images that it names only as they are pulled.
//
// # When an upstream fails
//
// The mirror serves what is in the store. docs/mirror.md lists the responses to each failure.
package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/mirror/internal/evict"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// Mirror is a [registry.Backend] over a store and upstreams. It is safe for concurrent use, and any
// number of mirrors in any number of processes may work on one storage.
//
// Repositories below the prefix of an upstream are read-only, except that their content can be
// deleted; it is then fetched again when a client asks for it. All other repositories are those of
// the store.
type Mirror struct {
	registry.Unimplemented
	store *storage.Store
	opts  Options
	names *names
	fills *fill.Fills
	log   *slog.Logger
	count counters

	// The fields below are memory of this process. Only proofs decide about access; they end.
	tags      tags
	missing   *missing
	contents  *contents
	facts     *lru.Cache[string, facts] // by pull.shared(digest)
	admission *admission
	proofs    *proofs
	lists     *lists

	pulls   *pulltime.Recorder
	evictor *evict.Evictor

	fetches flights[*registry.Manifest]
	stats   flights[ocispec.Descriptor]
}

var _ registry.Backend = (*Mirror)(nil)

// DefaultAdmitWait is the default of Options.AdmitWait.
const DefaultAdmitWait = 30 * time.Second

// New returns a Mirror of upstreams over a store. d is the driver of the store. It contacts no
// upstream and starts nothing; see [Mirror.Run]. opts may be nil.
//
// Errors: an error for an upstream without a name or URL, for a name, alias, prefix or host that
// two upstreams have, for a prefix below another one, for an invalid pattern, URL or platform, and
// for an unknown Options.Root; those of the driver.
func New(ctx context.Context, store *storage.Store, d driver.Driver, upstreams []Upstream, opts *Options) (*Mirror,
	error) {
	if store == nil || d == nil {
		return nil, errors.New("mirror: no store or no driver")
	}
	m := &Mirror{store: store, opts: options.Value(opts), log: slog.New(slog.DiscardHandler)}
	options.Default(&m.opts.AdmitWait, DefaultAdmitWait)
	if m.opts.Logger != nil {
		m.log = m.opts.Logger
	}
	if m.opts.Pseudonym == "" {
		var err error
		if m.opts.Pseudonym, err = pseudonym(ctx, store); err != nil {
			return nil, fmt.Errorf("mirror: %w", err)
		}
	} else if !isHost(m.opts.Pseudonym) || strings.Contains(m.opts.Pseudonym, ":") {
		return nil, errors.New("mirror: the pseudonym must look like a host name")
	}
	origins := make([]*origin, len(upstreams))
	for i, u := range upstreams {
		var err error
		if origins[i], err = newOrigin(u, m.opts.Pseudonym); err != nil {
			return nil, fmt.Errorf("mirror: upstream %.64q: %w", u.Name, err)
		}
	}
	var err error
	if m.names, err = newNames(origins, &m.opts); err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	m.tags, m.missing, m.contents, m.facts = newTags(), newMissing(), newContents(), lru.New[string, facts](maxNoted)
	m.admission, m.proofs, m.lists = newAdmission(), newProofs(), newLists()
	m.fills = fill.New(store, d, &fill.Options{Logger: m.opts.Logger})
	return m, m.newEvictor(store, d)
}

// pseudonym returns the name that all mirrors on the storage of a store share. It is derived from a
// secret, because upstreams see it.
func pseudonym(ctx context.Context, store *storage.Store) (string, error) {
	secret, err := store.SharedSecret(ctx, "mirror-pseudonym")
	sum := sha256.Sum256(secret)
	return "mirror-" + hex.EncodeToString(sum[:16]), err
}
