package replicate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/reference"
)

// target is a repository with a tag, a digest, both or neither.
type target struct {
	repo   string
	tag    string
	digest digest.Digest
}

// parseTarget reads "repository", followed by ":tag", "@digest" or both.
func parseTarget(s string) (target, error) {
	var t target
	name, d, hasDigest := strings.Cut(s, "@")
	t.digest = digest.Digest(d)
	name, tag, hasTag := strings.Cut(name, ":")
	t.repo, t.tag = name, tag
	if err := reference.CheckName(t.repo); err != nil {
		return target{}, err
	}
	if hasTag {
		if err := reference.CheckTag(t.tag); err != nil {
			return target{}, err
		}
	}
	if hasDigest {
		if err := reference.CheckDigest(string(t.digest)); err != nil {
			return target{}, err
		}
	}
	return t, nil
}

// parseSource reads the reference of an image to read. The default of the tag is "latest".
func parseSource(s string) (target, error) {
	t, err := parseTarget(s)
	if err == nil && t.tag == "" && t.digest == "" {
		t.tag = "latest"
	}
	return t, err
}

// parseDestination reads Options.To for a copy of from.
func parseDestination(s string, from target) (target, error) {
	if s == "" {
		return from, nil
	}
	t, err := parseTarget(s)
	switch {
	case err != nil:
		return target{}, fmt.Errorf("options To: %w", err)
	case t.tag == "" && t.digest == "":
		t.tag = from.tag
	case t.digest != "" && from.digest != "" && t.digest != from.digest:
		return target{}, errors.New("options To: the digest is not that of the source")
	}
	return t, nil
}

// ref returns the reference to read: the digest, or else the tag.
func (t target) ref() reference.Ref {
	if t.digest != "" {
		return reference.Ref{Digest: t.digest}
	}
	return reference.Ref{Tag: t.tag}
}

// String returns the target as it is written.
func (t target) String() string {
	s := t.repo
	if t.tag != "" {
		s += ":" + t.tag
	}
	if t.digest != "" {
		s += "@" + string(t.digest)
	}
	return s
}
