package reference

import (
	"strings"

	distribution "github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// What [Parse] fills in where the text leaves something out, as docker does.
const (
	// DefaultHost is the host of a text without one: Docker Hub.
	DefaultHost = "docker.io"
	// DefaultNamespace comes before a repository name of one component on DefaultHost.
	DefaultNamespace = "library"
	// DefaultTag is the tag of a text with neither tag nor digest.
	DefaultTag = "latest"
)

const (
	maxHost  = 255  // bytes, with the port
	maxImage = 1024 // bytes of a text: more than all parts can have together
)

// Image names an image in a registry: what people type after "docker pull". [Parse] makes one from
// text; [Image.String] is the complete text again.
type Image struct {
	// Host is the registry: a host name, an IPv4 address or an IPv6 address in brackets, with ":"
	// and a port if the text has one. It is written as in the text; only "index.docker.io" becomes
	// "docker.io". Docker Hub serves its API at registry-1.docker.io, which is not part of the
	// name.
	Host string
	// Repository is the repository name in the registry; [CheckName] accepts it.
	Repository string
	// Ref is the tag or the digest.
	Ref Ref
}

// Parse reads the name of an image as docker does. It fills in what the text leaves out:
//
//	ubuntu                        docker.io/library/ubuntu:latest
//	jwilder/nginx-proxy:1.0       docker.io/jwilder/nginx-proxy:1.0
//	localhost/x                   localhost/x:latest
//	host:5000/a/b@sha256:0123…    host:5000/a/b@sha256:0123…
//	a/b:1.0@sha256:0123…          docker.io/a/b@sha256:0123…
//
// The part before the first "/" is a host if it contains "." or ":" or an upper-case letter, or is
// "localhost". A text without "/" has no host, so "localhost:5000" is the tag 5000 of a repository
// localhost on Docker Hub.
//
// If the text has a tag and a digest, the digest counts. The tag must be valid, and is dropped: it
// may point at another manifest today, and docker and containerd do not look at it either.
//
// Parse refuses spaces, upper-case letters in the repository name, URLs with a scheme, and 64
// hexadecimal digits alone, which docker takes for the ID of a local image. The error wraps
// [ErrHost], [ErrName], [ErrTag] or [ErrDigest].
func Parse(s string) (Image, error) {
	if len(s) > maxImage {
		return Image{}, defect(ErrName, s, "it is longer than 1024 bytes")
	}
	if strings.Contains(s, "://") {
		return Image{}, defect(ErrHost, s, "it is a URL: leave out the scheme")
	}
	name, encoded, hasDigest := strings.Cut(s, "@")
	if hasDigest {
		if err := CheckDigest(encoded); err != nil {
			return Image{}, err
		}
	}
	named, err := distribution.ParseNormalizedNamed(s)
	if err != nil || distribution.Domain(named) == "" { // "h_x.io/a" is taken for a path without a host
		return Image{}, imageError(name)
	}
	i := Image{Host: distribution.Domain(named), Repository: distribution.Path(named), Ref: Ref{Tag: DefaultTag}}
	if len(i.Host) > maxHost {
		return Image{}, defect(ErrHost, i.Host, "it is longer than 255 bytes")
	}
	if tagged, ok := named.(distribution.Tagged); ok {
		i.Ref.Tag = tagged.Tag()
	}
	if hasDigest {
		i.Ref = Ref{Digest: digest.Digest(encoded)}
	}
	return i, nil
}

// imageError returns what is wrong with a text without digest that the distribution library
// refuses. The errors of that library repeat the text as it is, of any length.
func imageError(name string) error {
	path := name
	if first, rest, ok := strings.Cut(name, "/"); ok && isHost(first) {
		path = rest
		if named, err := distribution.ParseNormalizedNamed(first + "/a"); err != nil || distribution.Domain(named) == "" {
			return defect(ErrHost, first, "it is no host name or address, with or without a port")
		}
	}
	repository, tag, tagged := strings.Cut(path, ":")
	if err := CheckName(repository); err != nil {
		return err
	}
	if tagged {
		if err := CheckTag(tag); err != nil {
			return err
		}
	}
	if len(repository)+len(DefaultNamespace+"/") > MaxNameLength {
		return defect(ErrName, repository, "it is longer than 255 bytes")
	}
	return defect(ErrName, name, "64 hexadecimal digits are the ID of an image, not its name")
}

// isHost reports whether the part of a text before the first "/" is a host and no component of the
// repository name.
func isHost(first string) bool {
	return first == "localhost" || strings.ContainsAny(first, ".:") || strings.ToLower(first) != first
}

// String returns the complete text. For an i that Parse returned, Parse returns the same i for it.
func (i Image) String() string {
	separator := ":"
	if i.Ref.Digest != "" {
		separator = "@"
	}
	return i.Host + "/" + i.Repository + separator + i.Ref.String()
}
