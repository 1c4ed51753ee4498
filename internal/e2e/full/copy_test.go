package full

import (
	"fmt"
	"strings"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// filled makes a repository of 25 images and an index, each with a tag, with a referrer of one of
// them, and returns the digest of that one.
func filled(t *testing.T, repo string) (subject string) {
	t.Helper()
	ref := registry.Addr + "/" + repo
	for i := range 25 {
		subject = push(t, fmt.Sprintf("%s:v%d", ref, i))
	}
	r, note := regctl(t), write(t, t.TempDir(), "note", "a note")
	r.Run(t, "image", "copy", "ocidir://"+harness.Layout(t, harness.Index(t, repo))+":latest", ref+":index")
	r.Run(t, "artifact", "put", "--subject", ref+"@"+subject, "--artifact-type", "application/vnd.example.note", "-f",
		note)
	return subject
}

func regctl(t *testing.T) *harness.Program {
	t.Helper()
	r := harness.NewProgram(t, "regctl")
	r.Run(t, "registry", "set", "--tls", "disabled", registry.Addr)
	return r
}

// requireSame demands that two repositories have the same tags, which name the same.
func requireSame(t *testing.T, repo, other string) {
	t.Helper()
	tags := registry.TagsOf(t, repo)
	require.Len(t, tags, 26)
	require.Equal(t, tags, registry.TagsOf(t, other))
	for _, tag := range tags {
		require.Equal(t, registry.DigestOf(t, repo, tag), registry.DigestOf(t, other, tag), tag)
	}
}

// TestCraneRepository copies all tags of a repository to another.
func TestCraneRepository(t *testing.T) {
	filled(t, "crane/whole")
	c := harness.NewProgram(t, "crane")
	c.Run(t, "copy", "--all-tags", registry.Addr+"/crane/whole", registry.Addr+"/crane/copied")
	requireSame(t, "crane/whole", "crane/copied")
	c.Run(t, "validate", "--remote", registry.Addr+"/crane/copied:v7")
}

// TestRegctlRepository copies all tags, with what refers to them.
func TestRegctlRepository(t *testing.T) {
	subject, r := filled(t, "regctl/whole"), regctl(t)
	for _, tag := range strings.Fields(r.Run(t, "tag", "ls", registry.Addr+"/regctl/whole")) {
		r.Run(t, "image", "copy", "--referrers", "--digest-tags", registry.Addr+"/regctl/whole:"+tag,
			registry.Addr+"/regctl/copied:"+tag)
	}
	requireSame(t, "regctl/whole", "regctl/copied")
	require.Equal(t, []string{"application/vnd.example.note"}, referrersOf(t, "regctl/copied", subject))
}

// TestSkopeoRepository copies all tags with one command, from registry to registry and to a
// directory. skopeo writes an index in its own form, so it is the second copy that must be like the
// first.
func TestSkopeoRepository(t *testing.T) {
	filled(t, "skopeo/whole")
	s, dir := harness.NewProgram(t, "skopeo"), t.TempDir()
	sync := func(from, to string) {
		s.Run(t, "sync", "--all", "--src", "docker", "--dest", "docker", "--src-tls-verify=false", "--dest-tls-verify=false",
			registry.Addr+from, registry.Addr+to)
	}
	sync("/skopeo/whole", "/skopeo/copied")
	sync("/skopeo/copied/whole", "/skopeo/again")
	requireSame(t, "skopeo/copied/whole", "skopeo/again/whole")
	require.Equal(t, registry.TagsOf(t, "skopeo/whole"), registry.TagsOf(t, "skopeo/again/whole"))
	s.Run(t, "sync", "--all", "--src", "docker", "--dest", "dir", "--src-tls-verify=false",
		registry.Addr+"/skopeo/whole", dir)
}
