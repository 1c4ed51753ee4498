package layout

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// annotationContainerd has the whole name of an image: BuildKit, containerd and Docker write it.
const annotationContainerd = "io.containerd.image.name"

// dockerHost is the host of names without one, and library the namespace of names of one component
// there.
const (
	dockerHost = "docker.io"
	library    = "library/"
)

// name is the name of an entry of index.json. The zero name is that of an entry without a tag.
type name struct{ repo, tag string }

// nameOf returns the name of an entry. main is Options.Repository. bare is set if the annotation is
// a tag alone.
func nameOf(annotations map[string]string, main string) (n name, bare bool) {
	ref := annotations[ocispec.AnnotationRefName]
	whole := parseName(annotations[annotationContainerd])
	if reference.CheckTag(ref) == nil {
		switch {
		case main != "":
			return name{main, ref}, true
		case whole.repo != "":
			return name{whole.repo, ref}, true
		}
		return name{DefaultRepository, ref}, true
	}
	if ref != "" {
		whole = parseName(ref)
	} else if main != "" && whole.tag != "" {
		return name{main, whole.tag}, false
	}
	if whole.tag == "" {
		return name{}, false
	}
	return whole, false
}

// parseName reads a whole name, such as "docker.io/library/app:v1". The result is the zero name if
// s is not a name. A digest at its end is dropped.
func parseName(s string) name {
	s, _, _ = strings.Cut(s, "@")
	repo, tag := s, ""
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
		repo, tag = s[:i], s[i+1:]
	}
	repo = withoutHost(repo)
	if reference.CheckName(repo) != nil {
		return name{}
	}
	if tag != "" && reference.CheckTag(tag) != nil {
		return name{}
	}
	return name{repo, tag}
}

// withoutHost removes the host of a name as Docker recognises it: the first of several components,
// if it has a dot or a port or is "localhost".
func withoutHost(repo string) string {
	host, rest, ok := strings.Cut(repo, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return repo
	}
	if host == dockerHost || host == "index.docker.io" {
		if image, ok := strings.CutPrefix(rest, library); ok && !strings.Contains(image, "/") {
			return image
		}
	}
	return rest
}

// wholeName returns the name that other programs give to a tag: with the host docker.io, which is
// theirs for a name without a host.
func wholeName(n name) string {
	if !strings.Contains(n.repo, "/") {
		n.repo = library + n.repo
	}
	return dockerHost + "/" + n.repo + ":" + n.tag
}

// annotate returns the annotations of an entry with a name, such that nameOf returns the name
// again. main is the repository of tags that stand alone, and option is Options.Repository.
func annotate(n name, main, option string) map[string]string {
	if n.repo == main {
		bare := map[string]string{ocispec.AnnotationRefName: n.tag}
		if parseName(wholeName(n)) == n {
			bare[annotationContainerd] = wholeName(n)
		}
		if again, _ := nameOf(bare, option); again == n {
			return bare
		}
	}
	ref := n.repo + ":" + n.tag
	if parseName(ref) != n {
		ref = wholeName(n) // the first component looks like a host
	}
	return map[string]string{ocispec.AnnotationRefName: ref}
}
