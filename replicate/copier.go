package replicate

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/internal/platform"
)

// Defaults of [Options].
const (
	DefaultParallel = 3
	DefaultRetries  = 3
)

// copier is one copy.
type copier struct {
	dst, src registry.Backend
	same     bool // dst is src
	from, to target
	opts     Options
	progress *tracker
	graph    *graph
	noSearch atomic.Bool // whether the destination cannot search for a blob to mount
}

// withDefaults checks the options, and fills in the defaults.
func withDefaults(opts *Options) (Options, []platform.Platform, error) {
	o := options.Value(opts)
	if o.Parallel < 0 {
		return o, nil, errors.New("negative Parallel in Options")
	}
	options.Default(&o.Parallel, DefaultParallel)
	options.Default(&o.Retries, DefaultRetries)
	o.Retries = max(o.Retries, 0)
	for _, repo := range o.MountFrom {
		if err := registry.CheckName(repo); err != nil {
			return o, nil, err
		}
	}
	platforms, err := platform.ParseAll(o.Platforms)
	return o, platforms, err
}

func newCopier(dst, src registry.Backend, ref string, opts *Options) (*copier, error) {
	o, platforms, err := withDefaults(opts)
	if err != nil {
		return nil, err
	}
	c := &copier{dst: dst, src: src, same: same(dst, src), opts: o, progress: &tracker{call: o.Progress}}
	if c.from, err = parseSource(ref); err != nil {
		return nil, err
	}
	if c.to, err = parseDestination(o.To, c.from); err != nil {
		return nil, err
	}
	c.graph = &graph{from: src, repo: c.from.repo, platforms: platforms, referrers: o.Referrers, width: o.Parallel,
		retries: o.Retries, progress: c.progress}
	return c, nil
}

// same reports whether two backends are one.
func same(a, b registry.Backend) bool {
	return a != nil && b != nil && reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.ValueOf(a).Comparable() && a == b
}

// run copies the image.
func (c *copier) run(ctx context.Context) (ocispec.Descriptor, error) {
	if err := c.graph.load(ctx, c.from.ref()); err != nil {
		return ocispec.Descriptor{}, err
	}
	root := c.graph.root.desc
	if c.to.digest != "" && c.to.digest != root.Digest {
		return root, registry.ErrDigestInvalid.WithMessage("the digest in Options.To is not that of the image")
	}
	if err := c.copyBlobs(ctx); err != nil {
		return root, err
	}
	return root, c.putManifests(ctx)
}
