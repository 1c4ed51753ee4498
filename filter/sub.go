package filter

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
)

// sub exposes the repositories of b below prefix.
type sub struct {
	registry.Unimplemented
	b      registry.Backend
	prefix string // ends with a slash
	hiding hiding
}

// Sub returns the repositories of b whose names start with prefix and a slash, under the rest of
// their names. It gives one of many tenants a view of b in which no other tenant is visible. The
// repository named prefix is not part of it. Mounts read only from repositories below the prefix.
// Upload ids are those of b. Errors do not show the prefix to clients; it remains in their causes,
// for the log.
//
// Sub returns an error if b is nil, or if prefix is not a repository name or too long for a name
// below it.
func Sub(b registry.Backend, prefix string) (registry.Backend, error) {
	if b == nil {
		return nil, errors.New("filter: no backend")
	}
	if err := reference.CheckName(prefix + "/x"); err != nil {
		return nil, fmt.Errorf("filter: prefix: %w", err)
	}
	h := hiding{prefix}
	return &sub{b: registry.Intercept(b, h.intercept), prefix: prefix + "/", hiding: h}, nil
}

// in returns the name in b of repo.
//
// Errors: ErrNameInvalid.
func (s *sub) in(repo string) (string, error) {
	if err := registry.CheckName(repo); err != nil {
		return "", err
	}
	if len(s.prefix)+len(repo) > reference.MaxNameLength {
		return "", registry.ErrNameInvalid.WithMessage("the name is too long")
	}
	return s.prefix + repo, nil
}

// within calls f with the name in b of repo.
func within[T any](s *sub, repo string, f func(repo string) (T, error)) (T, error) {
	name, err := s.in(repo)
	if err != nil {
		var zero T
		return zero, err
	}
	return f(name)
}

// listed is within for a list.
func listed[T any](s *sub, repo string, f func(repo string) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		name, err := s.in(repo)
		if err != nil {
			var zero T
			yield(zero, err)
			return
		}
		for v, err := range f(name) {
			if !yield(v, err) {
				return
			}
		}
	}
}

// nothing is the result of a function that returns only an error.
type nothing = struct{}

func (s *sub) OpenBlob(ctx context.Context, repo string, d digest.Digest, opts *registry.OpenOptions) (*registry.Blob,
	error) {
	return within(s, repo, func(repo string) (*registry.Blob, error) {
		blob, err := s.b.OpenBlob(ctx, repo, d, opts)
		if err == nil && blob.Body != nil {
			blob = &registry.Blob{Descriptor: blob.Descriptor, Body: s.hiding.body(blob.Body)}
		}
		return blob, err
	})
}

func (s *sub) StatBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	return within(s, repo, func(repo string) (ocispec.Descriptor, error) { return s.b.StatBlob(ctx, repo, d, opts) })
}

func (s *sub) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	return within(s, repo, func(repo string) (*registry.Manifest, error) { return s.b.GetManifest(ctx, repo, ref) })
}

func (s *sub) StatManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	return within(s, repo, func(repo string) (ocispec.Descriptor, error) { return s.b.StatManifest(ctx, repo, ref, opts) })
}

func (s *sub) CreateUpload(ctx context.Context, repo string, opts *registry.UploadOptions) (registry.Upload, error) {
	return within(s, repo, func(repo string) (registry.Upload, error) { return s.b.CreateUpload(ctx, repo, opts) })
}

func (s *sub) ResumeUpload(ctx context.Context, repo, id string, opts *registry.ResumeOptions) (registry.Upload,
	error) {
	return within(s, repo, func(repo string) (registry.Upload, error) { return s.b.ResumeUpload(ctx, repo, id, opts) })
}

func (s *sub) MountBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.MountOptions) (ocispec.Descriptor, error) {
	o := options.Value(opts)
	allow := o.Allow
	o.Allow = func(from string) error {
		name, ok := strings.CutPrefix(from, s.prefix)
		switch {
		case !ok:
			return registry.ErrDenied
		case allow != nil:
			return allow(name)
		}
		return nil
	}
	prefixes := o.Prefixes
	if o.Prefixes = nil; len(prefixes) == 0 {
		o.Prefixes = []string{s.prefix}
	}
	for _, p := range prefixes {
		o.Prefixes = append(o.Prefixes, s.prefix+p)
	}
	if o.From != "" {
		from, err := s.in(o.From)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		o.From = from
	}
	return within(s, repo, func(repo string) (ocispec.Descriptor, error) { return s.b.MountBlob(ctx, repo, d, &o) })
}

func (s *sub) PutManifest(ctx context.Context, repo, mediaType string, content []byte,
	opts *registry.PutOptions) (registry.PutResult, error) {
	return within(s, repo, func(repo string) (registry.PutResult, error) {
		return s.b.PutManifest(ctx, repo, mediaType, content, opts)
	})
}

func (s *sub) DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *registry.DeleteOptions) error {
	_, err := within(s, repo, func(repo string) (nothing, error) { return nothing{}, s.b.DeleteBlob(ctx, repo, d, opts) })
	return err
}

func (s *sub) DeleteManifest(ctx context.Context, repo string, ref reference.Ref, opts *registry.DeleteOptions) error {
	_, err := within(s, repo, func(repo string) (nothing, error) {
		return nothing{},
			s.b.DeleteManifest(ctx, repo, ref, opts)
	})
	return err
}

func (s *sub) DeleteRepository(ctx context.Context, repo string, opts *registry.DeleteOptions) error {
	_, err := within(s, repo, func(repo string) (nothing, error) {
		return nothing{},
			s.b.DeleteRepository(ctx, repo, opts)
	})
	return err
}

// Repositories implements [registry.Lister]. The names below the prefix are consecutive in the list
// of b, which is read from the first of them.
func (s *sub) Repositories(ctx context.Context, opts *registry.ListOptions) iter.Seq2[string, error] {
	o := options.Value(opts)
	after := o.After
	o.After = s.after(after)
	return func(yield func(string, error) bool) {
		for full, err := range s.b.Repositories(ctx, &o) {
			if err != nil {
				yield("", err)
				return
			}
			name, ok := strings.CutPrefix(full, s.prefix)
			switch {
			case ok && name > after:
				if !yield(name, nil) {
					return
				}
			case full > s.prefix && !ok:
				return
			}
		}
	}
}

// after returns ListOptions.After for the list of b. It is always a valid name, because some
// backends require one. For the start of the list it is the last name before prefix: "tenant.zzz…"
// for "tenant/".
func (s *sub) after(after string) string {
	if after == "" {
		after = strings.TrimSuffix(s.prefix, "/") + "." + strings.Repeat("z", reference.MaxNameLength)
	} else {
		after = s.prefix + after
	}
	return after[:min(len(after), reference.MaxNameLength)]
}

func (s *sub) Tags(ctx context.Context, repo string, opts *registry.ListOptions) iter.Seq2[string, error] {
	return listed(s, repo, func(repo string) iter.Seq2[string, error] { return s.b.Tags(ctx, repo, opts) })
}

func (s *sub) Referrers(ctx context.Context, repo string, d digest.Digest,
	opts *registry.ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	return listed(s, repo, func(repo string) iter.Seq2[ocispec.Descriptor,
		error] {
		return s.b.Referrers(ctx, repo, d, opts)
	})
}

func (s *sub) History(ctx context.Context, repo string,
	opts *registry.HistoryOptions) iter.Seq2[registry.HistoryEntry, error] {
	return listed(s, repo, func(repo string) iter.Seq2[registry.HistoryEntry,
		error] {
		return s.b.History(ctx, repo, opts)
	})
}

func (s *sub) Restore(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.RestoreOptions) (registry.RestoreResult, error) {
	return within(s, repo, func(repo string) (registry.RestoreResult, error) { return s.b.Restore(ctx, repo, ref, opts) })
}
