package importer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/reference"
)

const (
	// repositories is the directory of all repositories.
	repositories = "repositories"
	// maxLink is the maximum size of a link in bytes. The longest one has 135.
	maxLink = 256
	// maxName is the maximum length of the name of a repository. Deeper directories are not looked at.
	maxName = 255
)

// The paths of the old tree, see the package comment. The arguments are valid.

func blobPath(d digest.Digest) string {
	return "blobs/" + string(d.Algorithm()) + "/" + d.Encoded()[:2] + "/" + d.Encoded() + "/data"
}

func repositoryPath(repo string) string { return repositories + "/" + repo }

func tagsPath(repo string) string { return repositoryPath(repo) + "/_manifests/tags" }

func tagPath(repo, tag string) string { return tagsPath(repo) + "/" + tag + "/current/link" }

func revisionsPath(repo string) string { return repositoryPath(repo) + "/_manifests/revisions" }

func revisionPath(repo string, d digest.Digest) string {
	return revisionsPath(repo) + "/" + string(d.Algorithm()) + "/" + d.Encoded() + "/link"
}

func layerPath(repo string, d digest.Digest) string {
	return repositoryPath(repo) + "/_layers/" + string(d.Algorithm()) + "/" + d.Encoded() + "/link"
}

// parseLink returns the digest that a link holds.
func parseLink(content []byte) (digest.Digest, error) {
	text := string(content)
	if err := reference.CheckDigest(text); err != nil {
		if len(content) == 0 {
			return "", errors.New("the link is empty")
		}
		return "", fmt.Errorf("the link holds no digest: %.140q", text)
	}
	return digest.Digest(text), nil
}

// readLink returns the digest that a link in the source holds, and when the link was written.
//
// Errors: *Problem, with its Kind, Path and Message; the error of ctx.
func readLink(ctx context.Context, src Source, path string) (digest.Digest, time.Time, error) {
	b, written, err := src.ReadFile(ctx, path, maxLink)
	if err != nil {
		return "", time.Time{}, sourceError(ctx, path, err)
	}
	d, err := parseLink(b)
	if err != nil {
		return "", time.Time{}, &Problem{Kind: ProblemLink, Path: path, Message: err.Error()}
	}
	return d, written, nil
}

// sourceError returns a failure of the source as a *Problem, or the error of ctx.
func sourceError(ctx context.Context, path string, err error) error {
	if cerr := ctx.Err(); cerr != nil {
		return cerr
	}
	p := &Problem{Kind: ProblemRead, Path: path, Message: err.Error()}
	var perr *fs.PathError
	if errors.As(err, &perr) {
		p.Message = perr.Err.Error() // without the path of this machine
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.Kind, p.Message = ProblemMissing, "not in the source"
	case errors.Is(err, ErrIrregular):
		p.Kind, p.Message = ProblemFile, "not a regular file or directory"
	case errors.Is(err, ErrTooLarge):
		p.Message = "larger than such a file may be"
		if strings.HasSuffix(path, "/link") {
			p.Kind = ProblemLink
		}
	case strings.Contains(p.Message, "escapes from parent"):
		p.Kind, p.Message = ProblemFile, "a symbolic link leads out of the tree"
	}
	return p
}
