// Package platform parses and compares the platforms of images.
package platform

import (
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// Platform selects images by their platform. It is comparable.
type Platform struct {
	os, version, arch, variant string
}

// ParseAll is Parse for several texts.
func ParseAll(texts []string) ([]Platform, error) {
	var all []Platform
	for _, text := range texts {
		p, err := Parse(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Parse reads "os/architecture" or "os/architecture/variant". The version of the operating system may
// follow it in parentheses, as in "windows(10.0.20348)/amd64".
func Parse(text string) (Platform, error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return Platform{}, fmt.Errorf(`platform %s: it must be "os/architecture" or "os/architecture/variant"`,
			reference.Quote(text))
	}
	p := Platform{os: parts[0], arch: parts[1]}
	if len(parts) == 3 {
		p.variant = parts[2]
	}
	if name, version, ok := strings.Cut(p.os, "("); ok && strings.HasSuffix(version, ")") {
		p.os, p.version = name, strings.TrimSuffix(version, ")")
	}
	for i, part := range append(parts[1:], p.os) {
		if part == "" || strings.ContainsAny(part, " ()") {
			return Platform{}, fmt.Errorf("platform %s: part %d is invalid", reference.Quote(text), i+1)
		}
	}
	return p, nil
}

// Matches reports whether p selects an image for got. Without a variant, p selects all variants. The
// version counts only if p has one, and may be a prefix up to a dot.
func (p Platform) Matches(got *ocispec.Platform) bool {
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

// Text returns a platform in the form that Parse reads.
func Text(p *ocispec.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.OSVersion != "" {
		s = p.OS + "(" + p.OSVersion + ")/" + p.Architecture
	}
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// String returns the platform in the form that Parse reads.
func (p Platform) String() string {
	return Text(&ocispec.Platform{OS: p.os, OSVersion: p.version, Architecture: p.arch, Variant: p.variant})
}
