package maintenance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// writers are the registries whose data is imported.
func writers() map[string]harness.Kind {
	kinds := map[string]harness.Kind{"docker-registry 2.8": harness.Old}
	if *full {
		kinds["distribution v3"] = harness.Peer
	}
	return kinds
}

// imported is the part of the result of an import that the tests look at.
type imported struct {
	Seconds float64
	Tags    struct{ Set, Moved, Unchanged int64 }
	Layers  map[string]struct{ Count, Bytes int64 }
	Damaged int64
}

// moved are the bytes that passed through the program.
func (i imported) moved() int64 { return i.Layers["streamed"].Bytes }

// TestImport imports what another registry has written and still serves, twice: the second run takes
// over what has come since. Clients then find everything.
func TestImport(t *testing.T) {
	for name, kind := range writers() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir() // of both, so that layers can be linked
			old := harness.New(t, harness.Options{Kind: kind, Storage: filepath.Join(dir, "old"),
				Log: filepath.Join(t.TempDir(), "log")})
			bytes := fill(t, old, shape{repos: size(4, 50), tags: size(3, 10), layers: size(2, 4), layer: 1 << 20})
			harness.NewProgram(t, "crane").Run(t, "push", harness.Layout(t, harness.Index(t, t.Name())),
				old.Addr+"/team/index:all")
			subject := attach(t, old, "team/app-00", "v0")
			storage := filepath.Join(dir, "new")
			args := []string{"import", "-from", filepath.Join(dir, "old"), "-to", storage}

			succeed(t, nil, append(args, "-dry-run")...)
			require.NoFileExists(t, storage)
			var first, second imported
			succeed(t, &first, args...)
			fresh := serve(t, storage) // the import need not wait for the new server, nor it for the import
			push(t, old, "team/app-01:late", "pushed after the import")
			began := time.Now()
			succeed(t, &second, args...)
			again := time.Since(began)

			require.EqualValues(t, 1, second.Tags.Set)
			require.Zero(t, first.Damaged+second.Damaged)
			tags := requireSame(t, old, fresh)
			require.NotEmpty(t, referrers(t, fresh, "team/app-00", subject.String()))
			require.Contains(t, fresh.TagsOf(t, "team/app-00"), fallbackTag(subject))
			clientsPull(t, fresh)
			t.Logf("%s: %d tags, %d MiB: %.1f s, %d MiB copied, layers %v; the second run: %s; disk %d MiB more", name, tags,
				bytes>>20, first.Seconds, first.moved()>>20, first.Layers, again.Round(time.Millisecond),
				alone(t, storage)>>20)
			compareSync(t, old, name)
		})
	}
}

// referrers returns the digests that the referrers API lists.
func referrers(t *testing.T, s *harness.Server, repo, digest string) (all []string) {
	t.Helper()
	r, err := harness.NewClient(s.URL()).Do(t.Context(), 200, "GET", "/v2/"+repo+"/referrers/"+digest, nil, nil)
	require.NoError(t, err)
	var list struct{ Manifests []struct{ Digest string } }
	require.NoError(t, json.Unmarshal(r.Body, &list))
	for _, m := range list.Manifests {
		all = append(all, m.Digest)
	}
	return all
}

// clientsPull pulls with crane, skopeo and oras.
func clientsPull(t *testing.T, s *harness.Server) {
	t.Helper()
	harness.NewProgram(t, "crane").Run(t, "validate", "--remote", s.Addr+"/team/index:all")
	harness.NewProgram(t, "crane").Run(t, "pull", "--format", "oci", s.Addr+"/team/index:all", t.TempDir())
	harness.NewProgram(t, "skopeo").Run(t, "copy", "--all", "--src-tls-verify=false", "docker://"+s.Addr+"/team/index:all",
		"dir:"+t.TempDir())
	require.Contains(t, harness.NewProgram(t, "oras").Run(t, "discover", "--plain-http", s.Addr+"/team/app-00:v0"),
		"application/vnd.example.sbom")
}

// alone returns the bytes on the disk of those files below a directory that no other directory has.
func alone(t *testing.T, dir string) (sum int64) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // removed meanwhile
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Nlink == 1 {
			sum += s.Blocks * 512
		}
		return nil
	}))
	return sum
}

// compareSync copies the same content with skopeo, repository by repository.
func compareSync(t *testing.T, old *harness.Server, name string) {
	t.Helper()
	if !*full {
		return
	}
	storage := filepath.Join(t.TempDir(), "synced")
	to := serve(t, storage, "-log-level", "warn")
	skopeo := harness.NewProgram(t, "skopeo")
	began := time.Now()
	for r := range 50 {
		skopeo.Run(t, "sync", "--all", "--src", "docker", "--dest", "docker", "--src-tls-verify=false",
			"--dest-tls-verify=false", fmt.Sprintf("%s/team/app-%02d", old.Addr, r), to.Addr+"/team")
	}
	t.Logf("%s: skopeo sync: %.1f s, disk %d MiB more", name, time.Since(began).Seconds(), alone(t, storage)>>20)
}
