package api_test

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/scrub"
)

// TestLosses: what a scrub has quarantined is listed in pages, and can be forgotten.
func TestLosses(t *testing.T) {
	s := newSite(t, func(s *site, opts *api.Options) { opts.Scrub = s.driver })
	for i, repo := range []string{"acme/app", "acme/web", "bob/x"} {
		image := registrytest.RandomImage(uint64(i), 1, 100_000)
		require.NoError(t, image.Push(t.Context(), s.store, repo, "v1"))
	}
	var damaged []string
	for info, err := range s.driver.List(t.Context(), "data/", nil) {
		require.NoError(t, err)
		damaged = append(damaged, info.Key)
	}
	for _, key := range damaged {
		_, err := s.driver.Put(t.Context(), key, bytes.NewReader(make([]byte, 100_000)), nil)
		require.NoError(t, err)
	}
	report, err := scrub.Run(t.Context(), s.store, s.driver, &scrub.Options{Repair: true, Settle: -1})
	require.NoError(t, err)
	require.Equal(t, int64(3), report.Lost)

	var all []types.Loss
	for path := "/v1/scrub/losses?limit=1"; path != ""; {
		var list types.LossList
		page := s.do(t, "boss", "GET", path, nil).want(200).into(&list)
		all, path = append(all, list.Items...), page.next()
	}
	require.Len(t, all, 3)
	require.Equal(t, "acme/app", all[0].Repository)
	require.Equal(t, int64(100_000), all[0].Size)
	require.Equal(t, "corrupt-blob", all[0].Reason)

	path := "/v1/scrub/losses/" + url.PathEscape(all[0].Repository) + "/" + all[0].Digest
	var one types.Loss
	got := s.do(t, "boss", "GET", path, nil).want(200).into(&one)
	require.Equal(t, all[0], one)
	s.do(t, "boss", "DELETE", path, nil).fails(428, "PRECONDITION_REQUIRED")
	s.do(t, "boss", "DELETE", path, nil, `If-Match: "x"`).fails(412, "PRECONDITION_FAILED")
	s.do(t, "boss", "DELETE", path, nil, got.ifMatch()).want(204)
	s.do(t, "boss", "GET", path, nil).fails(404, "NOT_FOUND")
	s.do(t, "boss", "DELETE", path, nil, "If-Match: *").fails(404, "NOT_FOUND")
	var list types.LossList
	s.do(t, "boss", "GET", "/v1/scrub/losses", nil).want(200).into(&list)
	require.Len(t, list.Items, 2)

	s.do(t, "boss", "GET", "/v1/scrub/losses/UPPER/"+all[0].Digest, nil).fails(400, "NAME_INVALID")
	s.do(t, "boss", "GET", "/v1/scrub/losses/a/sha256:12", nil).fails(400, "DIGEST_INVALID")
	for _, r := range []string{"GET /v1/scrub/losses", "GET " + path, "DELETE " + path, "GET /v1/scrub/losses/UPPER/x"} {
		method, path, _ := strings.Cut(r, " ")
		s.do(t, "ann", method, path, nil).fails(403, "DENIED")
		s.do(t, "", method, path, nil).fails(401, "UNAUTHORIZED")
	}
}
