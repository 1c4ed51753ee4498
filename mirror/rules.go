package mirror

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/glob"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/platform"
)

// rules are the rules of an upstream about what may be pulled. Each of them refuses with 403 and a
// reason.
//
// A rule about a tag restricts the tag. A caller who knows a digest may pull it if a rule allows
// some tag of its repository, because clients pull by digest what they have resolved by tag.
type rules struct {
	allow, deny []rule
	ttls        []rule
	platforms   []platform.Platform
	maxBlob     int64
	minAge      time.Duration
}

// rule is a pattern of repositories, and perhaps of tags.
type rule struct {
	repository string
	tag        string // "" matches every tag
}

// newRules checks and compiles the rules of an upstream.
func newRules(u *Upstream) (r rules, err error) {
	if r.allow, err = parseRules("allow", u.Allow); err != nil {
		return rules{}, err
	}
	if r.deny, err = parseRules("deny", u.Deny); err != nil {
		return rules{}, err
	}
	patterns := make([]string, len(u.TagTTLs))
	for i, t := range u.TagTTLs {
		patterns[i] = t.Pattern
	}
	if r.ttls, err = parseRules("tag TTL", patterns); err != nil {
		return rules{}, err
	}
	if r.platforms, err = platform.ParseAll(u.Platforms); err != nil {
		return rules{}, err
	}
	if u.MaxBlobSize < 0 || u.MinAge < 0 {
		return rules{}, fmt.Errorf("a limit of size or age is negative")
	}
	r.maxBlob, r.minAge = u.MaxBlobSize, u.MinAge
	return r, nil
}

func parseRules(what string, patterns []string) ([]rule, error) {
	list := make([]rule, len(patterns))
	for i, text := range patterns {
		repository, tag, tagged := strings.Cut(text, ":")
		list[i] = rule{repository, tag}
		err := glob.CheckRepository(repository)
		if err == nil && tagged {
			err = glob.Check(tag)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: pattern %.64q: %w", what, text, err)
		}
	}
	return list, nil
}

// matches reports whether the rule matches a tag of a repository.
func (r rule) matches(name, tag string) bool {
	return glob.Match(r.repository, name) && (r.tag == "" || glob.Match(r.tag, tag))
}

// touches reports whether the rule matches some tag of a repository.
func (r rule) touches(name string) bool { return glob.Match(r.repository, name) }

// whole reports whether the rule matches a repository with everything in it.
func (r rule) whole(name string) bool { return r.tag == "" && glob.Match(r.repository, name) }

// permit returns an error unless the rules allow a tag, or for a tag of "" something in the
// repository. name is the repository at the upstream.
//
// Errors: registry.ErrDenied.
func (r *rules) permit(name, tag string) error {
	switch {
	case !r.permits(name, ""):
		return registry.ErrDenied.WithMessage("a rule of this mirror does not allow the repository " + name)
	case tag != "" && !r.permits(name, tag):
		return registry.ErrDenied.WithMessage("a rule of this mirror does not allow the tag " + tag + " of " + name)
	}
	return nil
}

func (r *rules) permits(name, tag string) bool {
	denied, allowed := false, len(r.allow) == 0
	for _, d := range r.deny {
		denied = denied || d.whole(name) || tag != "" && d.matches(name, tag)
	}
	for _, a := range r.allow {
		allowed = allowed || tag == "" && a.touches(name) || tag != "" && a.matches(name, tag)
	}
	return allowed && !denied
}

// size returns an error for a blob that is too large. A negative size is unknown.
//
// Errors: registry.ErrDenied.
func (r *rules) size(n int64) error {
	if r.maxBlob > 0 && n > r.maxBlob {
		return registry.ErrDenied.WithMessage(
			fmt.Sprintf("a rule of this mirror does not allow blobs larger than %d bytes; this one has %d", r.maxBlob, n))
	}
	return nil
}

// sizes returns an error for a manifest that names a blob that is too large.
//
// Errors: registry.ErrDenied.
func (r *rules) sizes(m *manifest.Manifest) error {
	for _, ref := range m.References {
		if ref.Kind == manifest.KindManifest || ref.NonDistributable {
			continue
		}
		if err := r.size(ref.Size); err != nil {
			return err
		}
	}
	return nil
}

// needManifest reports whether the rules depend on the manifest of an image.
func (r *rules) needManifest() bool { return r.maxBlob > 0 || r.needFacts() }

// needFacts reports whether the rules depend on the configuration of an image.
func (r *rules) needFacts() bool { return len(r.platforms) > 0 || r.minAge > 0 }

// facts are what rules need to know of an image.
type facts struct {
	platform ocispec.Platform
	created  time.Time // zero if it is not stated
}

// parseFacts reads the configuration of an image.
//
// Errors: those of package json.
func parseFacts(config []byte) (facts, error) {
	var c struct {
		Created *time.Time `json:"created"`
		ocispec.Platform
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return facts{}, err
	}
	f := facts{platform: brief(c.Platform)}
	if c.Created != nil {
		f.created = *c.Created
	}
	return f, nil
}

// maxPlatform is the maximum length of the parts of a platform that the mirror remembers, in bytes.
const maxPlatform = 64

// brief returns the parts of a platform that rules look at, without what exceeds maxPlatform: what an
// upstream states is remembered for many images.
func brief(p ocispec.Platform) ocispec.Platform {
	cut := func(s string) string { return strings.Clone(s[:min(len(s), maxPlatform)]) }
	return ocispec.Platform{OS: cut(p.OS), Architecture: cut(p.Architecture), Variant: cut(p.Variant)}
}

// image returns an error for an image that the rules do not allow. An artifact, and anything else
// without a platform, has none that a rule could refuse; nor is an image without a creation time
// too young.
//
// Errors: registry.ErrDenied.
func (r *rules) image(f *facts, now time.Time) error {
	known := f.platform.OS != "" && f.platform.OS != "unknown"
	allowed := func(p platform.Platform) bool { return p.Matches(&f.platform) }
	if known && len(r.platforms) > 0 && !slices.ContainsFunc(r.platforms, allowed) {
		return registry.ErrDenied.WithMessage("a rule of this mirror does not allow the platform " +
			platform.Text(&f.platform))
	}
	if age := now.Sub(f.created); r.minAge > 0 && !f.created.IsZero() && age < r.minAge {
		return registry.ErrDenied.WithMessage(
			fmt.Sprintf("a rule of this mirror does not allow images younger than %s", r.minAge)).
			WithRetryAfter(min(r.minAge-age, r.minAge))
	}
	return nil
}
