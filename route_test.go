package registry

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/reference"
)

const testDigest = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b"

func TestParsePath(t *testing.T) {
	d := reference.Ref{Digest: digest.Digest(testDigest)}
	for path, want := range map[string]target{
		"/v2/":                            {endpoint: endpointBase},
		"/v2":                             {endpoint: endpointBase},
		"/v2/_catalog":                    {endpoint: endpointCatalog},
		"/v2/a/manifests/latest":          {endpoint: endpointManifest, repo: "a", ref: reference.Ref{Tag: "latest"}},
		"/v2/a/b/manifests/" + testDigest: {endpoint: endpointManifest, repo: "a/b", ref: d},
		"/v2/a/blobs/" + testDigest:       {endpoint: endpointBlob, repo: "a", ref: d},
		"/v2/a/blobs/uploads/":            {endpoint: endpointUploads, repo: "a"},
		"/v2/a/blobs/uploads":             {endpoint: endpointUploads, repo: "a"},
		"/v2/a/blobs/uploads/x-_.~1":      {endpoint: endpointUpload, repo: "a", uploadID: "x-_.~1"},
		"/v2/a/tags/list":                 {endpoint: endpointTags, repo: "a"},
		"/v2/a/referrers/" + testDigest:   {endpoint: endpointReferrers, repo: "a", ref: d},
		"/v2/v2/tags/list":                {endpoint: endpointTags, repo: "v2"},
		"/v2/v2/v2/tags/list":             {endpoint: endpointTags, repo: "v2/v2"},
		"/v2/tags/list/tags/list":         {endpoint: endpointTags, repo: "tags/list"},
		"/v2/manifests/manifests/list": {endpoint: endpointManifest, repo: "manifests",
			ref: reference.Ref{Tag: "list"}},
		"/v2/a/manifests/uploads": {endpoint: endpointManifest, repo: "a", ref: reference.Ref{Tag: "uploads"}},
		"/v2/a/blobs/uploads/manifests/x": {endpoint: endpointManifest, repo: "a/blobs/uploads",
			ref: reference.Ref{Tag: "x"}},
		"/v2/a/blobs/uploads/tags/list":         {endpoint: endpointTags, repo: "a/blobs/uploads"},
		"/v2/blobs/uploads/blobs/uploads/":      {endpoint: endpointUploads, repo: "blobs/uploads"},
		"/v2/blobs/blobs/uploads/uploads":       {endpoint: endpointUpload, repo: "blobs", uploadID: "uploads"},
		"/v2/a/manifests/blobs/uploads/":        {endpoint: endpointUploads, repo: "a/manifests"},
		"/v2/referrers/referrers/" + testDigest: {endpoint: endpointReferrers, repo: "referrers", ref: d},
	} {
		got, err := parsePath(path)
		require.NoError(t, err, path)
		require.Equal(t, want, got, path)
	}
	for path, want := range map[string]*Error{
		"":                                ErrNotFound,
		"/":                               ErrNotFound,
		"/v1/":                            ErrNotFound,
		"/v22/":                           ErrNotFound,
		"v2/":                             ErrNotFound,
		"/V2/":                            ErrNotFound,
		"/v2/_catalog/":                   ErrNotFound,
		"/v2/x":                           ErrNotFound,
		"/v2/a/tags":                      ErrNotFound,
		"/v2/a/tags/list2":                ErrNotFound,
		"/v2/tags/list":                   ErrNotFound,
		"/v2/blobs/uploads/":              ErrNotFound,
		"/v2/manifests/latest":            ErrNameInvalid,
		"/v2//":                           ErrNameInvalid,
		"/v2/../v2/":                      ErrNameInvalid,
		"/v2/a/../b":                      ErrNameInvalid,
		"/v2//tags/list":                  ErrNameInvalid,
		"/v2/a//b/tags/list":              ErrNameInvalid,
		"/v2/A/tags/list":                 ErrNameInvalid,
		"/v2/a/../b/tags/list":            ErrNameInvalid,
		"/v2/_catalog/tags/list":          ErrNameInvalid,
		"/v2/a\x00/tags/list":             ErrNameInvalid,
		"/v2/a%2fb/tags/list":             ErrNameInvalid,
		"/v2/a/manifests/sha256:x":        ErrDigestInvalid,
		"/v2/a/manifests/md5:x":           ErrDigestInvalid,
		"/v2/a/manifests/a@" + testDigest: ErrDigestInvalid,
		"/v2/a/blobs/latest":              ErrDigestInvalid,
		"/v2/a/blobs/":                    ErrDigestInvalid,
		"/v2/a/referrers/":                ErrDigestInvalid,
		"/v2/a/referrers/latest":          ErrDigestInvalid,
		"/v2/a/blobs/uploads/a b":         ErrUploadUnknown,
		"/v2/a/blobs/uploads/..":          ErrUploadUnknown,
		"/v2/a/blobs/uploads//":           ErrNameInvalid,
		"/v2/a/blobs/uploads/" + strings.Repeat("a", 256):    ErrUploadUnknown,
		"/v2/" + strings.Repeat("a", 256) + "/tags/list":     ErrNameInvalid,
		"/v2/" + strings.Repeat("a/", 10000) + "a/tags/list": ErrNameInvalid,
	} {
		_, err := parsePath(path)
		require.ErrorIs(t, err, want, path)
	}
	for _, ref := range []string{"", ".a", "a b", strings.Repeat("a", 129)} {
		got, err := parsePath("/v2/a/manifests/" + ref)
		require.NoError(t, err)
		require.ErrorIs(t, got.badTag, ErrTagInvalid, ref)
		got.badTag = nil
		require.Equal(t, target{endpoint: endpointManifest, repo: "a"}, got, "no reference but the error")
	}
}

// TestEncodedSlash: a slash sent as %2F is never a separator. Any other encoding of a path means
// the same path.
func TestEncodedSlash(t *testing.T) {
	for _, raw := range []string{"/v2/a%2Fb/tags/list", "/v2/a%2fb/tags/list", "/v2/a/tags%2flist", "/v2%2f",
		"/v2/a/manifests/x%2fy",
		"/v2/a/blobs%2Fuploads%2F"} {
		u, err := url.ParseRequestURI(raw)
		require.NoError(t, err)
		_, err = parseURL(u)
		require.Error(t, err, raw)
		require.Less(t, asError(err).Status(), 500)
	}
	for raw, want := range map[string]target{
		"/v2/%61/tags/list": {endpoint: endpointTags, repo: "a"},
		"/v2/a/blobs/" + strings.Replace(testDigest, ":", "%3A", 1): {endpoint: endpointBlob, repo: "a",
			ref: reference.Ref{Digest: testDigest}},
	} {
		u, err := url.ParseRequestURI(raw)
		require.NoError(t, err)
		got, err := parseURL(u)
		require.NoError(t, err, raw)
		require.Equal(t, want, got)
	}
}

// TestRoutesNameAnAuthorizedOperation: each route has an operation that needs access to the
// repository in the path.
func TestRoutesNameAnAuthorizedOperation(t *testing.T) {
	kinds := map[OpKind]bool{}
	for e, m := range newRoutes() {
		if endpoint(e) == endpointBase {
			require.Empty(t, m.byMethod)
			continue
		}
		require.Len(t, m.methods, len(m.byMethod))
		for method, r := range m.byMethod {
			tgt := target{endpoint: endpoint(e), repo: "a", ref: reference.Ref{Digest: testDigest}, uploadID: "x"}
			if tgt.endpoint == endpointCatalog {
				tgt.repo = ""
			}
			op, err := r.op(tgt, url.Values{"digest": {testDigest}})
			require.NoError(t, err)
			require.NoError(t, op.check())
			require.Equal(t, tgt.repo, op.Repository)
			require.NotEmpty(t, op.Access())
			require.NotNil(t, r.handle)
			kinds[op.Kind] = true
			require.Equal(t, method != http.MethodGet && method != http.MethodHead || op.Kind == OpResumeUpload, op.Write(),
				"%s %d", method, e)
		}
	}
	// The routes include all operations except DeleteTag and MountBlob, which depend on parameters,
	// and DeleteRepository, which has no HTTP request.
	require.Len(t, kinds, 15)
}

func FuzzRoute(f *testing.F) {
	for _, s := range []string{"/v2/", "/v2", "/v2/_catalog", "/v2/a/b/manifests/latest",
		"/v2/a/manifests/" + testDigest, "/v2/a/blobs/" + testDigest,
		"/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/uploads", "/v2/a/blobs/uploads/tags/list", "/v2/tags/list/tags/list",
		"/v2/a/referrers/" + testDigest,
		"/v2//tags/list", "/v2/../x", "/v2/a%2fb/tags/list", "/v2/a\x00/tags/list"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := parsePath(path)
		if err != nil {
			require.Zero(t, got)
			require.Contains(t, []int{400, 404}, asError(err).Status())
			return
		}
		if got.repo != "" {
			require.NoError(t, reference.CheckName(got.repo))
		}
		if got.badTag != nil {
			require.Equal(t, endpointManifest, got.endpoint)
			require.Zero(t, got.ref)
			return
		}
		again, err := parsePath(got.path())
		require.NoError(t, err)
		require.Equal(t, got, again)
		// The path is in its canonical form, except for two routes that may lack the last slash.
		require.Contains(t, []string{path, path + "/"}, got.path())
		u, err := url.ParseRequestURI(got.path())
		require.NoError(t, err)
		fromURL, err := parseURL(u)
		require.NoError(t, err)
		require.Equal(t, got, fromURL)
	})
}

// badRange, in TestParseRanges, is a Range that cannot be satisfied.
const badRange = "bad"

// headerOf returns the Range header for what parseRanges returns, or badRange.
func headerOf(parts []part, ok bool) string {
	var specs []string
	for _, p := range parts {
		specs = append(specs, fmt.Sprintf("%d-%d", p.first, p.end-1))
	}
	switch {
	case !ok:
		return badRange
	case len(specs) == 0:
		return ""
	}
	return "bytes=" + strings.Join(specs, ",")
}

func TestParseRanges(t *testing.T) {
	many := "bytes=" + strings.Repeat("0-0,", maxRanges) + "0-0"
	ascending := func(n int) string {
		var s strings.Builder
		for i := range n {
			fmt.Fprintf(&s, ",%d-%d", 3*i, 3*i+1)
		}
		return "bytes=" + s.String()[1:]
	}
	for _, c := range []struct {
		header string
		size   int64
		want   string
	}{
		{"bytes=0-9", 100, "bytes=0-9"},
		{"Bytes=0-9", 100, "bytes=0-9"},
		{"bytes=90-", 100, "bytes=90-99"},
		{"bytes=90-1000", 100, "bytes=90-99"},
		{"bytes=90-99999999999999999999", 100, "bytes=90-99"},
		{"bytes=-10", 100, "bytes=90-99"},
		{"bytes=-1000", 100, "bytes=0-99"},
		{"bytes=-99999999999999999999", 100, "bytes=0-99"},
		{"bytes=0-0, 5-5 ,\t-1", 100, "bytes=0-0,5-5,99-99"},
		{"bytes=0-0,100-", 100, "bytes=0-0"},
		{"bytes=0-99,0-0", 100, ""},
		{"bytes=0-,0-,0-", 100, ""},
		{many, 100, ""},
		{ascending(maxRanges + 1), 10_000, ascending(maxRanges + 1)},
		{ascending(maxAscendingRanges), 10_000, ascending(maxAscendingRanges)},
		{ascending(maxAscendingRanges + 1), 10_000, ""},
		{ascending(maxRanges+1) + ",3-4", 10_000, ""},        // not in order
		{ascending(maxRanges+1) + ",49-60", 10_000, ""},      // overlaps
		{ascending(maxRanges) + ",99-100,98-98", 10_000, ""}, // not in order
		{ascending(maxRanges+1) + ",99999-", 10_000, ascending(maxRanges + 1)},
		{ascending(maxRanges+1) + ",-1", 10_000, ascending(maxRanges+1) + ",9999-9999"},
		{"items=0-5", 100, ""},
		{"seconds=x", 100, ""},
		{"bytes=0-5", 0, ""},
		{"bytes=-0", 100, badRange},
		{"bytes=100-", 100, badRange},
		{"bytes=99999999999999999999-", 100, badRange},
		{"bytes=5-4", 100, badRange},
		{"bytes=5-4", 0, badRange},
		{"bytes=", 100, badRange},
		{"bytes=-", 100, badRange},
		{"bytes=a-b", 100, badRange},
		{"bytes=,0-0, ,", 100, "bytes=0-0"},
		{"bytes=,", 100, badRange},
		{"bytes=+1-5", 100, badRange},
		{"bytes=0x1-5", 100, badRange},
		{"bytes 0-5", 100, badRange},
		{"", 100, badRange},
	} {
		require.Equal(t, c.want, headerOf(parseRanges([]string{c.header}, c.size)), "%q of %d", c.header, c.size)
	}
	require.Equal(t, badRange, headerOf(parseRanges([]string{"bytes=0-1", "bytes=0-1"}, 100)))
}

func TestParseContentRange(t *testing.T) {
	for header, want := range map[string][2]int64{
		"0-0":                     {0, 0},
		"5-9":                     {5, 9},
		"bytes 5-9/*":             {5, 9},
		"bytes 5-9/10":            {5, 9},
		"bytes 5-9":               {5, 9},
		"0-9223372036854775806":   {0, math.MaxInt64 - 1},
		"007-0000000000000000009": {7, 9},
	} {
		first, last, ok := parseContentRange(header)
		require.True(t, ok, header)
		require.Equal(t, want, [2]int64{first, last})
	}
	for _, header := range []string{"", "-", "5", "5-", "-5", "9-5", "a-b", "0-9223372036854775807",
		"0-99999999999999999999", "+0-5", "0--5", " 0-5",
		"0-5 ", "bytes=0-5", "bytes 0-5/5", "bytes 0-5/x", "bytes */5", "0-5/6", "0-5-6", "0-5,6-7", "0x0-0x5"} {
		_, _, ok := parseContentRange(header)
		require.False(t, ok, header)
	}
}

func TestParseEmptyContentRange(t *testing.T) {
	for header, want := range map[string]int64{
		"0--1": 0, "1-0": 1, "5-4": 5, "bytes 5-4/*": 5, "bytes 5-4/5": 5, "bytes 5-4": 5, "bytes 0--1/0": 0,
	} {
		first, ok := parseEmptyContentRange(header)
		require.True(t, ok, header)
		require.Equal(t, want, first)
	}
	for _, header := range []string{"", "-", "--1", "0-0", "0-1", "5-3", "5-5", "5-04", "5--4", "0--2", "0-", "-1-0",
		"5-4/5", "bytes 5-4/4", "bytes 5-4/x",
		"9223372036854775807-9223372036854775806/x", "0--1 ", " 0--1"} {
		_, ok := parseEmptyContentRange(header)
		require.False(t, ok, header)
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"0-0", "5-9", "bytes 5-9/*", "bytes 5-9/10", "9-5", "0-9223372036854775807", "-", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, ok := parseContentRange(s)
		if empty, isEmpty := parseEmptyContentRange(s); isEmpty {
			require.False(t, ok, "%q", s)
			require.GreaterOrEqual(t, empty, int64(0))
		}
		if !ok {
			return
		}
		require.True(t, 0 <= first && first <= last && last-first+1 > 0, "%q", s)
	})
}

func TestMediaType(t *testing.T) {
	for _, s := range []string{"application/vnd.oci.image.manifest.v1+json", "a/b", "application/x_y"} {
		require.True(t, validMediaType(s), s)
	}
	for _, s := range []string{"", "a", "a/", "/b", "a/b/c", "a b/c", "a/b\r\n", "+a/b", "a/" + strings.Repeat("b", 128),
		"ä/b"} {
		require.False(t, validMediaType(s), s)
	}
}
