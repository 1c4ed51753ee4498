package mirror_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// BenchmarkCachedPull compares cached pulls through a mirror with pulls from its store: a manifest
// by tag and by digest, and a blob.
func BenchmarkCachedPull(b *testing.B) {
	r := newRig(b, nil)
	desc, man := r.image("v1")
	_, err := r.pull(b.Context(), repo, "v1")
	require.NoError(b, err)
	plain, err := registry.New(r.store, nil)
	require.NoError(b, err)
	for name, handler := range map[string]http.Handler{"store": plain, "mirror": r.handler(nil)} {
		s := httptest.NewServer(handler)
		defer s.Close()
		for what, path := range map[string]string{
			"tag": "/manifests/v1", "digest": "/manifests/" + string(desc.Digest),
			"blob": "/blobs/" + string(man.Layers[1].Digest),
		} {
			b.Run(what+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					res, err := http.Get(s.URL + "/v2/" + repo + path)
					if err != nil {
						b.Fatal(err)
					}
					if _, err = io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
						b.Fatal(res.Status, err)
					}
					_ = res.Body.Close()
				}
			})
		}
	}
}
