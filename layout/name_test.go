package layout

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/reference"
)

// TestNames: the names that programs write.
func TestNames(t *testing.T) {
	for _, row := range []struct {
		ref, containerd string
		want, named     name // without and with Options.Repository
	}{
		// skopeo, oras and umoci; BuildKit, containerd and "docker save"
		{"v1", "", name{DefaultRepository, "v1"}, name{"opt", "v1"}},
		{"v1", "docker.io/team/app:v1", name{"team/app", "v1"}, name{"opt", "v1"}},
		{"v1", "docker.io/library/app:v1", name{"app", "v1"}, name{"opt", "v1"}},
		{"latest", "localhost:5000/a/b:latest", name{"a/b", "latest"}, name{"opt", "latest"}},
		{"", "docker.io/team/app:v1", name{"team/app", "v1"}, name{"opt", "v1"}},
		// crane with --annotate-ref; podman save; layouts of several repositories
		{"ghcr.io/team/app:v1", "", name{"team/app", "v1"}, name{"team/app", "v1"}},
		{"index.docker.io/library/app:v1", "", name{"app", "v1"}, name{"app", "v1"}},
		{"localhost/team/app:v1", "", name{"team/app", "v1"}, name{"team/app", "v1"}},
		{"team/app:v1", "", name{"team/app", "v1"}, name{"team/app", "v1"}},
		{"library/app:v1", "", name{"library/app", "v1"}, name{"library/app", "v1"}},
		{"app:v1", "docker.io/library/other:v2", name{"app", "v1"}, name{"app", "v1"}},
		{"docker.io/app:v1@sha256:00", "", name{"app", "v1"}, name{"app", "v1"}},
		// no tag
		{"ghcr.io/team/app@sha256:00", "", name{}, name{}},
		{"team/app", "", name{}, name{}},
		{"", "docker.io/library/app@sha256:00", name{}, name{}},
		{"App:v1", "", name{}, name{}},
		{"", "", name{}, name{}},
	} {
		annotations := map[string]string{}
		if row.ref != "" {
			annotations[ocispec.AnnotationRefName] = row.ref
		}
		if row.containerd != "" {
			annotations[annotationContainerd] = row.containerd
		}
		got, _ := nameOf(annotations, "")
		require.Equal(t, row.want, got, row)
		got, _ = nameOf(annotations, "opt")
		require.Equal(t, row.named, got, row)
	}
}

// FuzzAnnotate: each name that is written is read as the same name.
func FuzzAnnotate(f *testing.F) {
	f.Add("team/app", "v1", "team/app", "")
	f.Add("library/app", "v1", "library/app", "")
	f.Add("library/app", "v1", "library/app", "library/app")
	f.Add("docker.io/library/app", "v1", "other", "other")
	f.Add("localhost/x", "v1", "", "")
	f.Fuzz(func(t *testing.T, repo, tag, main, option string) {
		n := name{repo, tag}
		if reference.CheckName(repo) != nil || reference.CheckTag(tag) != nil || len(repo) > 240 {
			return // not a valid tag of a repository, or too long once it has a host
		}
		if option != "" {
			main = option
		}
		got, _ := nameOf(annotate(n, main, option), option)
		require.Equal(t, n, got)
	})
}
