package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// parse returns a program with flags.
func parse(t *testing.T, args ...string) *program {
	t.Helper()
	var p program
	f := flag.NewFlagSet("image", flag.ContinueOnError)
	p.flags(f)
	require.NoError(t, f.Parse(append([]string{"-program", "./testdata/tiny"}, args...)))
	return &p
}

// read returns the content of a blob.
func read(t *testing.T, b registry.Backend, repo string, d digest.Digest) []byte {
	t.Helper()
	blob, err := b.OpenBlob(t.Context(), repo, d, nil)
	require.NoError(t, err)
	defer blob.Body.Close()
	content, err := io.ReadAll(blob.Body)
	require.NoError(t, err)
	return content
}

// TestImage: the image of two platforms is the same each time, and has what a container needs.
func TestImage(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, []byte("certificates"), 0o600))
	var digests []digest.Digest
	var l *layout.Layout
	for _, name := range []string{"hub", "hub.tar"} {
		path := filepath.Join(t.TempDir(), name)
		p := parse(t, "-layout", path, "-tag", "v1", "-version", "1.2.3", "-ca", ca)
		require.NoError(t, p.run(t.Context(), io.Discard))
		var err error
		l, err = layout.Open(path, &layout.Options{Repository: "hub"})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		m, err := l.GetManifest(t.Context(), "hub", reference.Ref{Tag: "v1"})
		require.NoError(t, err)
		digests = append(digests, m.Descriptor.Digest)
	}
	require.Equal(t, digests[0], digests[1])

	m, err := l.GetManifest(t.Context(), "hub", reference.Ref{Tag: "v1"})
	require.NoError(t, err)
	var index ocispec.Index
	require.NoError(t, json.Unmarshal(m.Content, &index))
	require.Len(t, index.Manifests, 2)
	for i, want := range []struct {
		arch    string
		machine elf.Machine
	}{{"amd64", elf.EM_X86_64}, {"arm64", elf.EM_AARCH64}} {
		require.Equal(t, want.arch, index.Manifests[i].Platform.Architecture)
		require.Equal(t, "linux", index.Manifests[i].Platform.OS)
		check(t, l, index.Manifests[i].Digest, want.arch, want.machine)
	}
}

// check checks the image of a platform.
func check(t *testing.T, l *layout.Layout, d digest.Digest, arch string, machine elf.Machine) {
	t.Helper()
	m, err := l.GetManifest(t.Context(), "hub", reference.Ref{Digest: d})
	require.NoError(t, err)
	var manifest ocispec.Manifest
	require.NoError(t, json.Unmarshal(m.Content, &manifest))
	var config ocispec.Image
	require.NoError(t, json.Unmarshal(read(t, l, "hub", manifest.Config.Digest), &config))
	require.Equal(t, arch, config.Architecture)
	require.Equal(t, "65532:65532", config.Config.User)
	require.Equal(t, []string{"/hub"}, config.Config.Entrypoint)
	require.Equal(t, "1.2.3", config.Config.Labels[ocispec.AnnotationVersion])
	require.Len(t, config.RootFS.DiffIDs, 2)

	files := map[string]*tar.Header{}
	binary := filepath.Join(t.TempDir(), "hub")
	for i, desc := range manifest.Layers {
		zip, err := gzip.NewReader(strings.NewReader(string(read(t, l, "hub", desc.Digest))))
		require.NoError(t, err)
		plain, err := io.ReadAll(zip)
		require.NoError(t, err)
		require.Equal(t, config.RootFS.DiffIDs[i], digest.FromBytes(plain))
		archive := tar.NewReader(strings.NewReader(string(plain)))
		for {
			h, err := archive.Next()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			require.Zero(t, h.ModTime.Unix())
			files[h.Name] = h
			if h.Name == "hub" {
				content, err := io.ReadAll(archive)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(binary, content, 0o755))
			}
		}
	}
	require.Equal(t, user, files["data/"].Uid)
	require.Equal(t, int64(0o1777), files["tmp/"].Mode)
	require.Contains(t, files, "etc/hub/hub.yaml")
	require.Contains(t, files, "etc/ssl/certs/ca-certificates.crt")
	program, err := elf.Open(binary)
	require.NoError(t, err)
	defer program.Close()
	require.Equal(t, machine, program.Machine)
	require.Nil(t, program.Section(".interp"), "the program is static")
}

// TestPush: the image goes into a registry.
func TestPush(t *testing.T) {
	store := registrytest.NewStore(t)
	reg, err := registry.New(store, &registry.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	server := httptest.NewServer(reg)
	defer server.Close()
	docker := filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.WriteFile(docker, []byte("{}"), 0o600))
	args := []string{"-docker-config", docker, "-platforms", "linux/amd64", "-ca", "", "-push"}
	var out strings.Builder
	require.NoError(t, parse(t, append(args, server.URL+"/ann/hub:v1")...).run(t.Context(), &out))
	m, err := store.GetManifest(t.Context(), "ann/hub", reference.Ref{Tag: "v1"})
	require.NoError(t, err)
	require.Contains(t, out.String(), m.Descriptor.Digest.String())
	require.Equal(t, ocispec.MediaTypeImageIndex, m.Descriptor.MediaType)

	require.ErrorContains(t, parse(t, append(args, server.URL)...).run(t.Context(), io.Discard), "a repository")
}

// TestMistakes: nothing is left behind.
func TestMistakes(t *testing.T) {
	for _, row := range []struct{ args, want string }{
		{"", "either -layout or -push"}, {"-layout a -push b", "either"},
		{"-layout DIR -platforms windows/amd64", "platform"}, {"-layout DIR -platforms linux/none", "go build"},
		{"-layout DIR -ca none.pem", "none.pem"},
	} {
		path := filepath.Join(t.TempDir(), "hub.tar")
		args := strings.Fields(strings.ReplaceAll(row.args, "DIR", path))
		require.ErrorContains(t, parse(t, args...).run(context.Background(), io.Discard), row.want)
		require.NoFileExists(t, path)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	require.ErrorContains(t, parse(t, "-layout", t.TempDir()).run(t.Context(), io.Discard), "SOURCE_DATE_EPOCH")
}
