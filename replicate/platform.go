package replicate

import (
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// platform is a platform to copy.
type platform struct {
	os, version, arch, variant string
}

// parsePlatforms reads Options.Platforms.
func parsePlatforms(texts []string) ([]platform, error) {
	var all []platform
	for _, text := range texts {
		parts := strings.Split(text, "/")
		if len(parts) < 2 || len(parts) > 3 {
			return nil, fmt.Errorf(`platform %s: it must be "os/architecture" or "os/architecture/variant"`,
				reference.Quote(text))
		}
		p := platform{os: parts[0], arch: parts[1]}
		if len(parts) == 3 {
			p.variant = parts[2]
		}
		if name, version, ok := strings.Cut(p.os, "("); ok && strings.HasSuffix(version, ")") {
			p.os, p.version = name, strings.TrimSuffix(version, ")")
		}
		for i, part := range append(parts[1:], p.os) {
			if part == "" || strings.ContainsAny(part, " ()") {
				return nil, fmt.Errorf("platform %s: part %d is invalid", reference.Quote(text), i+1)
			}
		}
		all = append(all, p)
	}
	return all, nil
}

// matches reports whether an image for got is selected by p.
func (p platform) matches(got *ocispec.Platform) bool {
	if !strings.EqualFold(p.os, got.OS) || !strings.EqualFold(p.arch, got.Architecture) {
		return false
	}
	if p.version != "" && got.OSVersion != p.version && !strings.HasPrefix(got.OSVersion, p.version+".") {
		return false
	}
	return p.variant == "" || variantOf(p.arch, p.variant) == variantOf(got.Architecture, got.Variant)
}

// variantOf returns the variant of an architecture in one spelling. Indexes state the variant of
// arm64 as "v8" or not at all, that of amd64 as "v1" or not at all, and that of arm often as "7".
func variantOf(arch, variant string) string {
	if variant != "" && variant[0] >= '0' && variant[0] <= '9' {
		variant = "v" + variant
	}
	switch {
	case variant != "":
	case strings.EqualFold(arch, "arm64"):
		return "v8"
	case strings.EqualFold(arch, "arm"):
		return "v7"
	case strings.EqualFold(arch, "amd64"):
		return "v1"
	}
	return strings.ToLower(variant)
}

// platformText returns a platform as it is written in Options.Platforms.
func platformText(p *ocispec.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.OSVersion != "" {
		s = p.OS + "(" + p.OSVersion + ")/" + p.Architecture
	}
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// String returns the platform as it is written in Options.Platforms.
func (p platform) String() string {
	return platformText(&ocispec.Platform{OS: p.os, OSVersion: p.version, Architecture: p.arch, Variant: p.variant})
}
