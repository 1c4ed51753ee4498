package scrub_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/replicate"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// serve serves a backend over HTTP, and returns a client and the address.
func serve(t *testing.T, b registry.Backend) (*client.Client, string) {
	reg, err := registry.New(b, nil)
	require.NoError(t, err)
	server := httptest.NewServer(reg)
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, &client.Options{HTTPClient: server.Client()})
	require.NoError(t, err)
	return c, server.URL
}

// status returns the status of a request without a body, and the body of the response.
func status(t *testing.T, method, url string) (int, []byte) {
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, b
}

// TestPushMendsOverHTTP shows what clients see of a corrupt layer: before a scrub, wrong bytes that they
// refuse; after it, 404. Then a client that asks first whether the blobs are there, as all do, sends the
// layer again, and pulls get the right bytes.
func TestPushMendsOverHTTP(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		f := newFixture(t, d, nil)
		c, url := serve(t, f.store)
		source, _ := serve(t, newFixture(t, memory.New(nil), nil).store)
		blob := url + "/v2/team/app/blobs/" + string(f.layer.Digest)

		change(t, d, f.dataOf(t, f.layer.Digest)[0], flip)
		code, got := status(t, http.MethodGet, blob)
		require.Equal(t, http.StatusOK, code)
		require.NotEqual(t, f.layer.Digest, digest.FromBytes(got), "a pull does not detect it")
		_, err := readBlob(t.Context(), c, "team/app", f.layer.Digest)
		require.Error(t, err, "a client does")
		code, _ = status(t, http.MethodHead, blob)
		require.Equal(t, http.StatusOK, code, "so no client would push it")

		scrubbed(t, f.store, d, repairing)
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			code, _ = status(t, method, blob)
			require.Equal(t, http.StatusNotFound, code)
		}
		code, _ = status(t, http.MethodPost, url+"/v2/new/blobs/uploads/?from=team/copy&mount="+string(f.layer.Digest))
		require.Equal(t, http.StatusAccepted, code, "a mount finds nothing either")

		for _, repo := range []string{"team/app", "team/copy"} {
			_, err = replicate.Copy(t.Context(), c, source, repo+":v1", nil)
			require.NoError(t, err)
			code, got = status(t, http.MethodGet, url+"/v2/"+repo+"/blobs/"+string(f.layer.Digest))
			require.Equal(t, http.StatusOK, code)
			require.True(t, bytes.Equal(f.contents[f.layer.Digest], got))
		}
		require.True(t, scrubbed(t, f.store, d, repairing).Whole())
		f.checkWhole(t)
	})
}

// TestPushMendsManifestOverHTTP is the same for a corrupt manifest.
func TestPushMendsManifestOverHTTP(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		f := newFixture(t, d, nil)
		c, url := serve(t, f.store)
		source, _ := serve(t, newFixture(t, memory.New(nil), nil).store)
		change(t, d, "r/team.~app/m/"+pathOf(f.manifest.Digest), flipLast)
		scrubbed(t, f.store, d, repairing)
		for _, ref := range []string{"v1", "latest", string(f.manifest.Digest)} {
			code, _ := status(t, http.MethodHead, url+"/v2/team/app/manifests/"+ref)
			require.Equal(t, http.StatusNotFound, code, "a HEAD of %s must not keep a client from pushing", ref)
		}
		_, err := replicate.Copy(t.Context(), c, source, "team/app:v1", nil)
		require.NoError(t, err)
		require.True(t, scrubbed(t, f.store, d, repairing).Whole(), "the other tag is set again, too")
		f.checkWhole(t)
	})
}

func TestMendFromAClient(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		f := newFixture(t, d, nil)
		upstream, _ := serve(t, newFixture(t, memory.New(nil), nil).store)
		change(t, d, f.dataOf(t, f.layer.Digest)[0], flip)
		change(t, d, f.dataOf(t, f.chunked.Digest)[0], truncate)
		change(t, d, "r/team.~app/m/"+pathOf(f.second.Digest), flipLast)
		r := scrubbed(t, f.store, d, repairing)
		require.Equal(t, int64(5), r.Lost)

		r, err := scrub.Mend(t.Context(), f.store, d, scrub.FromBackend(upstream), nil)
		require.NoError(t, err)
		require.Equal(t, int64(5), r.Mended)
		require.Zero(t, r.Lost)
		require.Empty(t, r.Errors)
		f.checkWhole(t)
		require.True(t, scrubbed(t, f.store, d, repairing).Whole())
	})
}

func TestRunMendsFromItsSource(t *testing.T) {
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	for _, key := range append(f.dataOf(t, f.layer.Digest), "r/team.~app/m/"+pathOf(f.manifest.Digest)) {
		change(t, d, key, flipLast)
	}
	opts := *repairing
	opts.Source = scrub.FromBackend(newFixture(t, memory.New(nil), nil).store)
	r := scrubbed(t, f.store, d, &opts)
	require.Equal(t, int64(3), r.Mended)
	require.Zero(t, r.Lost)
	f.checkWhole(t)
}

// TestMendFromTheUpstreamOfAMirror damages a cached layer. A run with the mirror as its source brings it
// back from the upstream.
func TestMendFromTheUpstreamOfAMirror(t *testing.T) {
	hub := upstreamtest.New(t)
	layer := random(1, 50_000)
	hub.Image("library/alpine", "3", layer)
	d := memory.New(nil)
	s := newStore(t, d, nil)
	m, err := mirror.New(t.Context(), s, d, []mirror.Upstream{{Name: "docker.io", URLs: []string{hub.URL}}}, nil)
	require.NoError(t, err)
	const repo = "docker.io/library/alpine"
	_, err = m.GetManifest(t.Context(), repo, byTag("3"))
	require.NoError(t, err)
	_, err = readBlob(t.Context(), m, repo, digest.FromBytes(layer))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := s.StatBlob(t.Context(), repo, digest.FromBytes(layer), nil)
		return err == nil
	}, time.Minute, time.Millisecond, "the mirror stores it in the background")
	stored, err := s.Inventory().Data(t.Context(), repo, digest.FromBytes(layer))
	require.NoError(t, err)
	require.Empty(t, scrubbed(t, s, d, repairing).Findings, "what is not cached yet is not missing")

	change(t, d, "data/"+stored.Objects[0][:2]+"/"+stored.Objects[0], flip)
	opts := *repairing
	opts.Source = scrub.FromBackend(m)
	r := scrubbed(t, s, d, &opts)
	require.Equal(t, int64(1), r.Damaged)
	require.Equal(t, int64(1), r.Mended)
	got, err := readBlob(t.Context(), s, repo, digest.FromBytes(layer))
	require.NoError(t, err)
	require.True(t, bytes.Equal(layer, got))
	require.True(t, scrubbed(t, s, d, repairing).Whole())
}
