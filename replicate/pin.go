package replicate

import (
	"context"
	"fmt"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// Pinner is a backend that keeps images: mirror.Mirror.
type Pinner interface {
	registry.Backend
	// Pin keeps an image from eviction.
	Pin(ctx context.Context, repo string, ref reference.Ref) error
}

// Pin makes an image complete and keeps it, for a network without upstreams: it pins the image, reads
// all of it through the mirror, so that the mirror fetches it, and verifies it. It returns what it
// could not get; the image stays pinned then, and another Pin gets the rest. Used of opts are
// Platforms, Referrers, Parallel and Progress; opts may be nil.
//
// Errors: those of [Verify] and of Pinner.Pin.
func Pin(ctx context.Context, p Pinner, ref string, opts *Options) ([]Missing, error) {
	missing, err := pin(ctx, p, ref, opts)
	if err != nil {
		return nil, fmt.Errorf("replicate: pinning %s: %w", ref, err)
	}
	return missing, nil
}

func pin(ctx context.Context, p Pinner, ref string, opts *Options) ([]Missing, error) {
	from, err := parseSource(ref)
	if err != nil {
		return nil, err
	}
	if _, _, err := withDefaults(opts); err != nil {
		return nil, err
	}
	// The mirror fetches the manifest now, and has something to pin.
	m, err := p.GetManifest(ctx, from.repo, from.ref())
	if err != nil {
		return nil, err
	}
	if err := p.Pin(ctx, from.repo, from.ref()); err != nil {
		return nil, err
	}
	from.digest = m.Descriptor.Digest // also if the tag moves meanwhile
	return verify(ctx, p, from.String(), opts)
}
