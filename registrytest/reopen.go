package registrytest

import (
	"fmt"
	"testing"

	"github.com/registrykit/registry"
)

// reopen checks that a second backend on the same storage sees the content of the first and resumes
// its uploads.
func (s *suite) reopen(t *testing.T) {
	if s.Reopen == nil {
		t.Skip("the backend cannot be opened twice")
	}
	b, _ := s.new(t)
	c := s.Reopen(t, b)
	content := RandomBytes(1, 300_000)
	u := s.create(t, b, "a/b")
	for i, other := range []registry.Backend{c, b, c} {
		add(t, u, content[u.Size():int64(i+1)*50_000])
		u = s.resume(t, other, "a/b", u.ID())
	}
	s.finish(t, c, "a/b", u, content)
	requireBlob(t, b, "a/b", content)
	for i, pair := range [][2]registry.Backend{{b, c}, {c, b}} {
		repo := fmt.Sprint("r", i)
		img := RandomImage(uint64(i), 1, 100)
		push(t, pair[0], repo, img, "v1")
		requireManifest(t, pair[1], repo, img, "v1")
		requireTags(t, pair[1], repo, "v1")
		requireRepositories(t, pair[1], []string{"r0", "r1"}[:i+1]...)
	}
}
