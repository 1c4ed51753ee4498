package web

import (
	"slices"
	"strings"

	"github.com/registrykit/registry/api/types"
)

// platforms are the elements of an index.
type platforms struct {
	// Tabs are links to the elements. More is the number of those without a tab.
	Tabs []menuItem
	More int
	// Chosen is the element whose content is shown. It is nil if there is none. Explicit is set if
	// the request names it.
	Chosen   *child
	Explicit bool
	// Attestations are what a build states about the images of the index.
	Attestations []child
	// Others are the elements without a platform. Both lists have at most maxTabs elements.
	Others []child
	// Count is the number of all elements.
	Count int
}

// child is an element of an index.
type child struct {
	types.Descriptor
	// Name is the platform, such as "linux/arm64/v8", or "" if it has none.
	Name string
	// About is the digest of the image that an attestation is about, or "".
	About string
}

// Annotations of attestations that docker puts into an index.
const (
	attestationType  = "vnd.docker.reference.type"
	attestationAbout = "vnd.docker.reference.digest"
)

// platformName returns a platform as docker writes it, such as "linux/arm64/v8", or "".
func platformName(p *types.Platform) string {
	if p == nil || p.OS == "" && p.Architecture == "" || p.OS == "unknown" && p.Architecture == "unknown" {
		return ""
	}
	name := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	return name
}

// childrenOf returns the elements of an index.
func childrenOf(i *types.Image) []child {
	list := make([]child, len(i.Manifests))
	for n, d := range i.Manifests {
		list[n] = child{Descriptor: d, Name: platformName(d.Platform)}
		if d.Annotations[attestationType] == "attestation-manifest" {
			list[n].About, list[n].Name = d.Annotations[attestationAbout], ""
		}
	}
	return list
}

// isAttestation reports whether the element states something about another one.
func (c *child) isAttestation() bool { return c.Annotations[attestationType] == "attestation-manifest" }

// choose returns the element with a platform, or without one that for linux/amd64, or else the first one with a
// platform, or else the first one. It returns nil if there is none.
func choose(list []child, platform string) *child {
	if platform != "" {
		return find(list, func(c *child) bool { return c.Name == platform || c.Digest == platform })
	}
	for _, wanted := range []func(*child) bool{
		func(c *child) bool { return c.Name == "linux/amd64" },
		func(c *child) bool { return c.Name != "" },
		func(c *child) bool { return !c.isAttestation() },
	} {
		if c := find(list, wanted); c != nil {
			return c
		}
	}
	return nil
}

func find(list []child, wanted func(*child) bool) *child {
	i := slices.IndexFunc(list, func(c child) bool { return wanted(&c) })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// platformsOf returns the elements of an index. platform is the chosen one, or "". base is the URL of the view,
// to which the tabs add the parameter platform.
func platformsOf(i *types.Image, platform, base string) *platforms {
	list := childrenOf(i)
	p := &platforms{Chosen: choose(list, platform), Explicit: platform != "", Count: len(list)}
	seen := map[string]bool{}
	for n := range list {
		c := &list[n]
		switch {
		case c.isAttestation():
			if len(p.Attestations) < maxTabs {
				p.Attestations = append(p.Attestations, *c)
			}
			continue
		case c.Name == "":
			if len(p.Others) < maxTabs {
				p.Others = append(p.Others, *c)
			}
			continue
		case len(p.Tabs) >= maxTabs && c != p.Chosen:
			p.More++
			continue
		}
		param, title := c.Name, c.Name
		if seen[c.Name] { // such as images of several versions of Windows
			param = c.Digest
		}
		if seen[c.Name] || c.Platform.OSVersion != "" {
			title = strings.TrimSpace(title + " " + c.Platform.OSVersion)
		}
		seen[c.Name] = true
		p.Tabs = append(p.Tabs, tab(clip(title, 60), withParams(base, "platform", param), c == p.Chosen))
	}
	return p
}
