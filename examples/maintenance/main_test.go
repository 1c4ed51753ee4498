package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// call runs the program in this process.
func call(ctx context.Context, args ...string) (status int, out, errs string) {
	var o, e bytes.Buffer
	status = run(ctx, args, &o, &e)
	return status, o.String(), e.String()
}

// succeed runs the program with -json and decodes the result into v, unless v is nil.
func succeed(t *testing.T, v any, args ...string) {
	t.Helper()
	status, out, errs := call(t.Context(), append(args, "-json")...)
	require.Zero(t, status, "%v: %s%s", args, out, errs)
	if v != nil {
		require.NoError(t, json.Unmarshal([]byte(out), v), out)
	}
}

// filled is a storage in a directory, with images.
type filled struct {
	dir   string
	store *storage.Store
	image *registrytest.Content
}

// fill makes a storage with tags of one image in two repositories, and a second image.
func fill(t *testing.T, history bool) *filled {
	t.Helper()
	f := &filled{dir: filepath.Join(t.TempDir(), "data"), image: registrytest.RandomImage(1, 2, 100_000)}
	d, err := disk.New(f.dir, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	opts := &storage.Options{Grace: -1}
	if history {
		opts.History = defaultHistory
	}
	f.store, err = storage.New(t.Context(), d, opts)
	require.NoError(t, err)
	require.NoError(t, f.image.Push(t.Context(), f.store, "team/app", "v1", "build-1"))
	require.NoError(t, registrytest.RandomImage(2, 1, 50_000).Push(t.Context(), f.store, "team/app", "build-2"))
	require.NoError(t, f.image.Push(t.Context(), f.store, "other", "v1"))
	return f
}

// snapshot returns the names and sizes of all objects below a directory.
func snapshot(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "objects"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			all[path] = info.Size()
		}
		return err
	}))
	return all
}

// write makes a file and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func requireSame(t *testing.T, b registry.Backend, repo, tag string, image *registrytest.Content) {
	t.Helper()
	m, err := b.GetManifest(t.Context(), repo, reference.Ref{Tag: tag})
	require.NoError(t, err)
	require.Equal(t, image.Descriptor.Digest, m.Descriptor.Digest)
	missing, err := replicate.Verify(t.Context(), b, repo+":"+tag, nil)
	require.NoError(t, err)
	require.Empty(t, missing)
}

// TestMistakes: a mistake in a command has the exit status 2 and says what is wrong.
func TestMistakes(t *testing.T) {
	f := fill(t, false)
	none := filepath.Join(t.TempDir(), "none")
	rules := write(t, "retain.yaml", "rules:\n- name: a\n  tags: [v*]\n  keep: all\n  colour: red\n")
	limits := write(t, "quota.yaml", "limits:\n- {prefix: team, max: {bytes: -1}}\n")
	for _, row := range []struct {
		want string
		args []string
	}{
		{"Usage: maintenance COMMAND", nil},
		{"unknown command \"nonsense\"", []string{"nonsense"}},
		{"Usage: maintenance COMMAND", []string{"retain"}},
		{"flag provided but not defined", []string{"collect", "-nonsense"}},
		{"-storage is required", []string{"collect"}},
		{"no storage of a registry is there", []string{"collect", "-storage", none}},
		{"unexpected argument", []string{"collect", "-storage", f.dir, "x"}},
		{"must not be negative", []string{"collect", "-storage", f.dir, "-grace", "-1s"}},
		{"-rules and -o are required", []string{"retain", "plan", "-storage", f.dir}},
		{"retain.yaml:5: ", []string{"retain", "plan", "-storage", f.dir, "-rules", rules, "-o", none}},
		{"PLAN is required", []string{"retain", "apply", "-storage", f.dir}},
		{"no such file", []string{"retain", "apply", "-storage", f.dir, none}},
		{"only what the history has", []string{"undo", "-storage", f.dir, "-history", "0", none}},
		{"-quota is required", []string{"quota", "-storage", f.dir}},
		{"quota.yaml:2: ", []string{"quota", "-storage", f.dir, "-quota", limits}},
		{"one PREFIX is required", []string{"usage", "-storage", f.dir, "a", "b"}},
		{"exclude each other", []string{"usage", "-storage", f.dir, "-list", "-days"}},
		{"not a number of bytes", []string{"scrub", "-storage", f.dir, "-rate", "fast"}},
		{"-requests must not be negative", []string{"scrub", "-storage", f.dir, "-requests", "-1"}},
		{"not a plan that can be read", []string{"retain", "apply", "-storage", f.dir, rules}},
		{"-from is required", []string{"import", "-to", none}},
		{"does not exist", []string{"import", "-from", none, "-to", none}},
		{"-verify some", []string{"import", "-from", f.dir, "-to", none, "-verify", "some"}},
		{"-format zip", []string{"import", "-from", f.dir, "-to", none, "-format", "zip"}},
		{"holds no data of a registry", []string{"import", "-from", f.dir, "-to", none}},
		{"-repository and -to are required", []string{"export", "-storage", f.dir}},
		{"-from and -to are required", []string{"sync", "-from", f.dir}},
		{"no such file", []string{"sync", "-from", "dir:" + none, "-to", f.dir}},
		{"use -repository", []string{"sync", "-from", "http://127.0.0.1:1/a:b", "-to", f.dir}},
	} {
		status, _, errs := call(t.Context(), row.args...)
		require.Equal(t, misused, status, "%v: %s", row.args, errs)
		require.Contains(t, errs, row.want, row.args)
	}
	require.NoDirExists(t, none)
}

// TestDryRunsChangeNothing runs every command with -dry-run.
func TestDryRunsChangeNothing(t *testing.T) {
	f := fill(t, true)
	plan := filepath.Join(t.TempDir(), "plan.json")
	rules := write(t, "retain.yaml", "rules:\n- name: builds\n  tags: [build-*]\n  keep: {newest: 1}\n")
	limits := write(t, "quota.yaml", "limits:\n- {prefix: team, max: {bytes: 1GiB}}\n")
	succeed(t, nil, "retain", "plan", "-storage", f.dir, "-rules", rules, "-o", plan, "-grace", "0")
	_, err := f.store.ID(t.Context()) // the first call writes it
	require.NoError(t, err)
	before := snapshot(t, f.dir)
	for _, args := range [][]string{
		{"collect", "-storage", f.dir, "-history", "1ns", "-grace", "0"},
		{"retain", "plan", "-storage", f.dir, "-rules", rules, "-grace", "0"},
		{"retain", "apply", "-storage", f.dir, plan, "-grace", "0"},
		{"undo", "-storage", f.dir, plan, "-grace", "0"},
		{"quota", "-storage", f.dir, "-quota", limits, "-recount"},
		{"scrub", "-storage", f.dir, "-repair"},
		{"export", "-storage", f.dir, "-repository", "team/app", "-to", filepath.Join(t.TempDir(), "out")},
		{"sync", "-from", f.dir, "-to", filepath.Join(t.TempDir(), "new")},
	} {
		status, out, errs := call(t.Context(), append(args, "-dry-run")...)
		require.Zero(t, status, "%v: %s%s", args, out, errs)
		require.Contains(t, out, "dry run: ", args)
		require.Equal(t, before, snapshot(t, f.dir), args)
		if args[0] == "export" || args[0] == "sync" {
			require.NoDirExists(t, args[len(args)-1])
		}
	}
}

// TestRetainApplyUndo: what is applied by a plan is restored by it, and what has changed is refused.
func TestRetainApplyUndo(t *testing.T) {
	f := fill(t, true)
	rules := write(t, "retain.yaml", "rules:\n- name: builds\n  tags: [build-*]\n  keep: {newest: 1}\n")
	plan := filepath.Join(t.TempDir(), "plan.json")
	status, out, errs := call(t.Context(), "retain", "plan", "-storage", f.dir, "-rules", rules, "-o", plan, "-grace", "0")
	require.Zero(t, status, errs)
	require.Contains(t, out, "1 of 4 tags and 0 manifests go")

	status, _, errs = call(t.Context(), "retain", "apply", "-storage", f.dir, plan, "-grace", "0", "-history", "0")
	require.Contains(t, errs, "can be undone", "a warning")
	require.Zero(t, status, errs)
	require.NoError(t, f.image.Push(t.Context(), f.store, "team/app", "build-1"))
	status, out, errs = call(t.Context(), "retain", "apply", "-storage", f.dir, plan, "-grace", "0")
	require.Equal(t, refused, status, "the tag was set after the plan: %s%s", out, errs)
	requireSame(t, f.store, "team/app", "build-1", f.image)
}

// TestScrubFindsDamage: damage has an exit status of its own.
func TestScrubFindsDamage(t *testing.T) {
	f := fill(t, false)
	succeed(t, nil, "scrub", "-storage", f.dir)
	for path, size := range snapshot(t, f.dir) {
		if filepath.Base(filepath.Dir(filepath.Dir(path))) == "data" && size > 50_000 {
			require.NoError(t, os.WriteFile(path, make([]byte, size), 0o600))
		}
	}
	status, out, _ := call(t.Context(), "scrub", "-storage", f.dir)
	require.Equal(t, damaged, status, out)
	require.Contains(t, out, "left as it is")
	status, out, _ = call(t.Context(), "scrub", "-storage", f.dir, "-repair")
	require.Equal(t, damaged, status, out)
	status, out, _ = call(t.Context(), "scrub", "-storage", f.dir, "-losses")
	require.Equal(t, damaged, status, out)
	require.NoError(t, f.image.Push(t.Context(), f.store, "team/app", "v1"))
	requireSame(t, f.store, "team/app", "v1", f.image)
}

// TestUsageAndQuota counts, and shows what is used.
func TestUsageAndQuota(t *testing.T) {
	f := fill(t, false)
	status, _, errs := call(t.Context(), "usage", "-storage", f.dir)
	require.Equal(t, failed, status)
	require.Contains(t, errs, "-count")
	var reports []struct {
		Prefix  string
		Figures struct{ Repositories, Tags, Manifests, Logical, Repeated int64 }
	}
	succeed(t, &reports, "usage", "-storage", f.dir, "-count", "-list")
	require.Len(t, reports, 3, "everything, other, team")
	require.EqualValues(t, 4, reports[0].Figures.Tags)
	require.Greater(t, reports[0].Figures.Repeated, reports[0].Figures.Logical)
	status, out, errs := call(t.Context(), "usage", "-storage", f.dir, "team")
	require.Zero(t, status, errs)
	require.Contains(t, out, "LOGICAL")

	limits := write(t, "quota.yaml", "limits:\n- {prefix: team, max: {bytes: 1GiB, tags: 10}}\n")
	status, out, errs = call(t.Context(), "quota", "-storage", f.dir, "-quota", limits, "-recount")
	require.Zero(t, status, errs)
	require.Contains(t, out, "3 of 10")
	require.Regexp(t, `team .* of 1 GiB +- +- +3 of 10 `, out, "what has no limit is not counted")
}

// TestExportImportSync moves images through an archive, a directory and a registry.
func TestExportImportSync(t *testing.T) {
	f, dir := fill(t, false), t.TempDir()
	for _, to := range []string{"out", "out.tar"} {
		to = filepath.Join(dir, to)
		succeed(t, nil, "export", "-storage", f.dir, "-repository", "team/app", "-to", to)
		into := filepath.Join(t.TempDir(), "new")
		succeed(t, nil, "import", "-from", to, "-to", into, "-repository", "moved/app")
		d, err := disk.New(into, nil)
		require.NoError(t, err)
		store, err := storage.New(t.Context(), d, nil)
		require.NoError(t, err)
		requireSame(t, store, "moved/app", "v1", f.image)
		require.NoError(t, d.Close())
	}
	s := registrytest.NewServer(t, nil)
	var result struct{ Copied int }
	succeed(t, &result, "sync", "-from", f.dir, "-to", s.URL, "-repository", "team/**")
	require.Equal(t, 3, result.Copied)
	requireSame(t, s.Store, "team/app", "v1", f.image)
	back := filepath.Join(dir, "back")
	succeed(t, &result, "sync", "-from", s.URL, "-to", back, "-tag", "v*")
	require.Equal(t, 1, result.Copied)
}

// TestInterrupted: an interrupt has an exit status of its own.
func TestInterrupted(t *testing.T) {
	f := fill(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	status, _, errs := call(ctx, "collect", "-storage", f.dir)
	require.Equal(t, interrupted, status)
	require.Contains(t, errs, "interrupted")
}
