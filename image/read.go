package image

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

// DefaultMaxConfig is the default of Options.MaxConfig, in bytes.
const DefaultMaxConfig = 4 << 20

// Options are the options of [Read]. nil means the zero Options.
type Options struct {
	// NoConfig leaves out what only the configuration says, and saves one request. Default: false.
	NoConfig bool
	// MaxConfig is the maximum size of a configuration, in bytes. A larger one is an error.
	// Default: DefaultMaxConfig, 4 MiB. A negative value is an error.
	MaxConfig int64
}

// ErrConfig is returned by [Read], wrapped with the reason, if the manifest is there and the
// configuration of the image or chart cannot be read: it is missing, too large, not what its digest says, or
// no JSON object. The Facts are then those of the manifest alone.
var ErrConfig = errors.New("image: the configuration cannot be read")

// Read returns the facts of the manifest with a tag or digest. It reads the manifest and, for an
// image or a Helm chart, its configuration. opts may be nil.
//
// Errors: registry.ErrManifestUnknown and other errors of b; ErrConfig, together with the facts of
// the manifest; an error for an invalid option or manifest.
func Read(ctx context.Context, b registry.Reader, repo string, ref reference.Ref, opts *Options) (*Facts, error) {
	o := options.Value(opts)
	options.Default(&o.MaxConfig, DefaultMaxConfig)
	if o.MaxConfig < 0 {
		return nil, errors.New("image: Options.MaxConfig is negative")
	}
	m, err := b.GetManifest(ctx, repo, ref)
	if err != nil {
		return nil, err
	}
	f, config, err := ParseManifest(m)
	if err != nil || o.NoConfig {
		return f, err
	}
	if config == nil {
		if blob := f.ConfigBlob; f.Kind == KindArtifact && blob != nil && blob.MediaType == mediaTypeChart {
			err = readParsed(ctx, b, repo, blob, min(o.MaxConfig, MaxChart), ParseChart, &f.Chart)
		}
		return f, err
	}
	if err := readParsed(ctx, b, repo, config, o.MaxConfig, ParseConfig, &f.Config); err != nil {
		return f, err
	}
	f.Config.Digest = config.Digest
	return f, nil
}

// readParsed reads a configuration of at most limit bytes into to.
//
// Errors: ErrConfig; any error of b.
func readParsed[T any](ctx context.Context, b registry.Reader, repo string, config *ocispec.Descriptor, limit int64,
	parse func([]byte) (*T, error), to **T) error {
	content, err := readConfig(ctx, b, repo, config, limit)
	if err != nil {
		return err
	}
	if *to, err = parse(content); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// readConfig reads a configuration of at most limit bytes, and checks it.
//
// Errors: ErrConfig; any error of b.
func readConfig(ctx context.Context, b registry.Reader, repo string, config *ocispec.Descriptor,
	limit int64) ([]byte, error) {
	if config.Size > limit {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrConfig, config.Digest, limit)
	}
	blob, err := b.OpenBlob(ctx, repo, config.Digest, nil)
	if errors.Is(err, registry.ErrBlobUnknown) {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(blob.Body, config.Size+1))
	if cerr := blob.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	if int64(len(content)) != config.Size || config.Digest.Algorithm().FromBytes(content) != config.Digest {
		return nil, fmt.Errorf("%w: the content is not that of %s", ErrConfig, config.Digest)
	}
	return content, nil
}

// Cache remembers the facts that were used last, by digest. It is safe for concurrent use. The zero
// Cache is not valid: see [NewCache].
type Cache struct {
	facts *lru.Cache[cacheKey, *Facts]
}

// cacheKey identifies facts. The media type may differ between repositories, for a manifest that
// does not state its own. Facts without those of the configuration are others.
type cacheKey struct {
	digest    digest.Digest
	mediaType string
	noConfig  bool
}

// NewCache returns a Cache of at most about maxBytes bytes of memory.
func NewCache(maxBytes int) *Cache { return &Cache{lru.New[cacheKey, *Facts](maxBytes)} }

// Read is [Read] with the Cache. It asks b for the descriptors of the manifest and of the
// configuration each time, so it returns cached facts only of what the repository has and, if b
// checks that, the caller may pull. A repository can have the manifest alone: the configuration was
// deleted, or the registry accepts sparse manifests. Facts with an error are not remembered.
//
// Errors: those of Read.
func (c *Cache) Read(ctx context.Context, b registry.Reader, repo string, ref reference.Ref,
	opts *Options) (*Facts, error) {
	d, err := b.StatManifest(ctx, repo, ref, nil)
	if err != nil {
		return nil, err
	}
	key := cacheKey{d.Digest, d.MediaType, options.Value(opts).NoConfig}
	if f, ok := c.facts.Get(key); ok {
		if f.Config != nil || f.Chart != nil {
			_, err = b.StatBlob(ctx, repo, f.ConfigBlob.Digest, nil)
		}
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, registry.ErrBlobUnknown):
			return nil, err
		}
	}
	f, err := Read(ctx, b, repo, reference.Ref{Digest: d.Digest}, opts)
	if err == nil {
		c.facts.Add(key, f, f.weight())
	}
	return f, err
}

// weight returns about how many bytes of memory the facts take.
func (f *Facts) weight() int {
	const descriptor, text = 250, 24
	n := 500 + descriptor*(len(f.Layers)+len(f.Manifests)) + weightOf(f.Annotations)
	for _, list := range [][]ocispec.Descriptor{f.Layers, f.Manifests} {
		for i := range list {
			n += weightOf(list[i].Annotations)
		}
	}
	if f.Chart != nil {
		n += f.Chart.weight()
	}
	c := f.Config
	if c == nil {
		return n
	}
	n += 500 + weightOf(c.Labels) + len(c.Author)
	for _, list := range [][]string{c.Entrypoint, c.Cmd, c.Env, c.ExposedPorts, c.Volumes, c.Malformed} {
		for _, s := range list {
			n += text + len(s)
		}
	}
	for i := range c.History {
		s := &c.History[i]
		n += 100 + len(s.CreatedBy) + len(s.Author) + len(s.Comment)
	}
	return n
}

func weightOf(m map[string]string) int {
	n := 0
	for k, v := range m {
		n += 64 + len(k) + len(v)
	}
	return n
}
