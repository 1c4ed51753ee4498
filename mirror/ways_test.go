package mirror_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/mirror"
)

// TestAllWaysLeadToOneRepository: whichever way a client names an image, it is fetched once.
func TestAllWaysLeadToOneRepository(t *testing.T) {
	r := newRig(t, func(u *mirror.Upstream, o *mirror.Options) {
		u.Library, u.Hosts, o.Root = "library", []string{"hub.mirror.example"}, upName
	})
	desc, man := r.up.Image("library/app", "v1", random(30_000))
	base := r.serve(nil)
	parts := []string{"/manifests/v1", "/manifests/" + string(desc.Digest), "/blobs/" + string(man.Layers[0].Digest),
		"/blobs/" + string(man.Config.Digest), "/referrers/" + string(desc.Digest), "/tags/list"}
	get := func(path, query, host string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", base+path+query, nil)
		require.NoError(t, err)
		if host != "" {
			req.Host = host
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res
	}
	for _, way := range []struct{ name, query, host, echo string }{
		{"app", "?ns=" + upName, "", upName},                      // containerd
		{"library/app", "?ns=UP.example:80", "", "UP.example:80"}, // with a port
		{upName + "/library/app", "?ns=" + upName, "", upName},    // override_path
		{upName + "/library/app", "", "", ""},                     // podman with a path in location
		{upName + "/app", "", "", ""},
		{"app", "", "hub.mirror.example:5000", ""}, // a host for each upstream
		{"library/app", "", "", ""},                // docker's registry-mirrors
		{"app", "", "", ""},
	} {
		for _, part := range parts {
			res := get("/v2/"+way.name+part, way.query, way.host)
			require.Equal(t, http.StatusOK, res.StatusCode, "%v %s", way, part)
			require.Equal(t, way.echo, res.Header.Get("OCI-Namespace"), "%v", way)
			r.settle()
		}
	}
	require.Equal(t, [3]int{1, 1, 2}, r.requests())
	names, err := collect(r.m.Repositories(t.Context(), nil))
	require.NoError(t, err)
	require.Equal(t, []string{upName + "/library/app"}, names)
}
