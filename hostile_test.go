package registry_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/registrytest"
)

var (
	sha256Ones = strings.ReplaceAll(sha256Zeros, "0", "1")
	long       = strings.Repeat("a", 100_000)
	digits     = strings.Repeat("9", 1000)
	notATag    = []string{".a", "-a", "a b", "a%00b", "a+b", "é", "a\r\nb", "a@b", strings.Repeat("a", 129), "%", "..",
		"\x00", "<script>"}
	notADigest = []string{"sha256:", ":", "sha256", "a", "sha256:abc", "sha256:" + strings.Repeat("g", 64),
		"sha256:" + strings.Repeat("A", 64),
		"sha256:" + strings.Repeat("0", 63), "sha256:" + strings.Repeat("0", 65), "sha512:" + strings.Repeat("0", 64),
		"SHA256:" + strings.Repeat("0", 64),
		"md5:d41d8cd98f00b204e9800998ecf8427e", "sha384:" + strings.Repeat("0", 96), "x:" + strings.Repeat("0", 64),
		"sha256:" + strings.Repeat("0", 62) + "..",
		sha256Zeros + "\x00", sha256Zeros + "\n", sha256Zeros + " ", sha256Zeros + "@" + sha256Zeros, "sha256:" + long[:5000]}
	notAName = []string{"A", "a//b", "a/", "/a", "a/../b", "..", ".", "a/./b", "-a", "a-", "a..b", "a___b", "a b",
		"a\x00", "a\n", "é", "a:b", "a@b", "a%b", `a\b`,
		"<a>", "_catalog", "~a", "a/_b", strings.Repeat("a", 256), strings.Repeat("a/", 5000) + "a"}
	notANumber = []string{"-1", "-0", "+1", "1.5", "1e3", "0x10", "a", " 1", "1 ", "1,2", "\x00", "١", "-" + digits}
)

// defect is an invalid part of a request, with the expected response.
type defect struct {
	method, path string
	body         any
	header       string
	status       int
	code         string
}

// hostile is one parameter of an endpoint, with its possible defects. %s stands for the escaped
// value in the path.
var hostile = []struct {
	parameter string
	method    string
	path      string
	values    []string
	status    int
	code      string
}{
	{"name of a manifest", "GET", "/v2/%s/manifests/x", notAName, 400, "NAME_INVALID"},
	{"name of a manifest", "PUT", "/v2/%s/manifests/x", notAName, 400, "NAME_INVALID"},
	{"name of a manifest", "DELETE", "/v2/%s/manifests/x", notAName, 400, "NAME_INVALID"},
	{"name of a blob", "GET", "/v2/%s/blobs/" + sha256Zeros, notAName, 400, "NAME_INVALID"},
	{"name of a blob", "DELETE", "/v2/%s/blobs/" + sha256Zeros, notAName, 400, "NAME_INVALID"},
	{"name of an upload", "POST", "/v2/%s/blobs/uploads/", notAName, 400, "NAME_INVALID"},
	{"name of an upload", "PATCH", "/v2/%s/blobs/uploads/x", notAName, 400, "NAME_INVALID"},
	{"name of a list", "GET", "/v2/%s/tags/list", notAName, 400, "NAME_INVALID"},
	{"name of a subject", "GET", "/v2/%s/referrers/" + sha256Zeros, notAName, 400, "NAME_INVALID"},

	{"tag", "GET", "/v2/a/manifests/%s", append(notATag, ".INVALID", ""), 404, "MANIFEST_UNKNOWN"},
	{"tag", "PUT", "/v2/a/manifests/%s", append(notATag, ""), 400, "TAG_INVALID"},
	{"tag", "DELETE", "/v2/a/manifests/%s", append(notATag, ""), 400, "TAG_INVALID"},
	{"tags of a push", "PUT", "/v2/a/manifests/" + sha256Zeros + "?tag=ok&tag=%s", notATag, 400, "TAG_INVALID"},
	{"tags of a push", "PUT", "/v2/a/manifests/" + sha256Zeros + "?tag=%s", []string{"", sha256Zeros}, 400, "TAG_INVALID"},
	{"tags of a push by tag", "PUT", "/v2/a/manifests/x?tag=%s", []string{"", "x", "y"}, 400, "TAG_INVALID"},

	{"digest of a manifest", "GET", "/v2/a/manifests/%s", []string{"sha256:", ":", "sha256:abc", "md5:abc",
		"x@" + sha256Zeros}, 400, "DIGEST_INVALID"},
	{"digest of a blob", "GET", "/v2/a/blobs/%s", notADigest, 400, "DIGEST_INVALID"},
	{"digest of a blob", "DELETE", "/v2/a/blobs/%s", notADigest, 400, "DIGEST_INVALID"},
	{"digest of a subject", "GET", "/v2/a/referrers/%s", notADigest, 400, "DIGEST_INVALID"},
	{"digest of a POST", "POST", "/v2/a/blobs/uploads/?digest=%s", append(notADigest, ""), 400, "DIGEST_INVALID"},
	{"digest of a PUT", "PUT", "/v2/a/blobs/uploads/x?digest=%s", append(notADigest, ""), 400, "DIGEST_INVALID"},
	{"digest of a PUT", "PUT", "/v2/a/blobs/uploads/x%s", []string{""}, 400, "DIGEST_INVALID"},
	{"digest twice", "PUT", "/v2/a/blobs/uploads/x?digest=" + sha256Zeros + "&digest=%s",
		append(notADigest, "", sha256Ones), 400, "DIGEST_INVALID"},
	{"digest twice", "PUT", "/v2/a/blobs/uploads/x?digest=" + sha256Zeros + "&digest=%s", []string{sha256Zeros}, 404,
		"BLOB_UPLOAD_UNKNOWN"},
	{"digest twice", "POST", "/v2/a/blobs/uploads/?digest=" + sha256Zeros + "&digest=%s",
		append(notADigest, "", sha256Zeros, sha256Ones), 400, "DIGEST_INVALID"},
	{"mount twice", "POST", "/v2/a/blobs/uploads/?mount=" + sha256Zeros + "&mount=%s", []string{sha256Zeros, "x"}, 400,
		"DIGEST_INVALID"},
	{"mount and digest", "POST", "/v2/a/blobs/uploads/?mount=" + sha256Zeros + "&digest=%s", []string{sha256Zeros}, 400,
		"DIGEST_INVALID"},
	{"source twice", "POST", "/v2/a/blobs/uploads/?mount=" + sha256Zeros + "&from=a&from=%s", []string{"a", "b"}, 400,
		"NAME_INVALID"},
	{"source without mount", "POST", "/v2/a/blobs/uploads/?from=%s", []string{"a", ""}, 400, "BLOB_UPLOAD_INVALID"},
	{"algorithm", "POST", "/v2/a/blobs/uploads/?digest-algorithm=%s",
		[]string{"", "md5", "SHA256", "sha256:", "sha384", "\x00", long[:9000]}, 400, "DIGEST_INVALID"},
	{"algorithm twice", "POST", "/v2/a/blobs/uploads/?digest-algorithm=sha256&digest-algorithm=%s",
		[]string{"sha256", "sha512"}, 400, "DIGEST_INVALID"},

	{"upload", "GET", "/v2/a/blobs/uploads/%s", []string{"x", "x y", "\x00", "é", "..", long[:256], "a%b",
		"00000000-0000-0000-0000-000000000000"}, 404, "BLOB_UPLOAD_UNKNOWN"},
	{"upload", "PATCH", "/v2/a/blobs/uploads/%s", []string{"x", "x y", "..", long[:256]}, 404, "BLOB_UPLOAD_UNKNOWN"},
	{"upload", "PUT", "/v2/a/blobs/uploads/%s?digest=" + sha256Zeros, []string{"x", "x y", "..", long[:256]}, 404,
		"BLOB_UPLOAD_UNKNOWN"},
	{"upload", "DELETE", "/v2/a/blobs/uploads/%s", []string{"x", "x y", "..", long[:256]}, 404, "BLOB_UPLOAD_UNKNOWN"},

	{"n of tags", "GET", "/v2/a/tags/list?n=%s", notANumber, 400, "PAGINATION_NUMBER_INVALID"},
	{"n of the catalogue", "GET", "/v2/_catalog?n=%s", notANumber, 400, "PAGINATION_NUMBER_INVALID"},
	{"n twice", "GET", "/v2/_catalog?n=1&n=%s", []string{"1", "2"}, 400, "PAGINATION_NUMBER_INVALID"},
	{"last of referrers", "GET", "/v2/a/referrers/" + sha256Zeros + "?last=%s", notADigest, 400, "DIGEST_INVALID"},
	{"last twice", "GET", "/v2/_catalog?last=a&last=%s", []string{"a", "b"}, 400, "NAME_INVALID"},
	{"too many types", "GET", "/v2/a/referrers/" + sha256Zeros + "?artifactType=%s" +
		strings.Repeat("&artifactType=a", 64), []string{"b"}, 400, "UNSUPPORTED"},
}

func TestHostileParameters(t *testing.T) {
	_, c := newRegistry(t, nil)
	c.push("a", registrytest.RandomImage(1, 1, 10), "x")
	for _, h := range hostile {
		for _, value := range h.values {
			escaped := url.QueryEscape(value)
			if before, _, _ := strings.Cut(h.path, "%s"); !strings.Contains(before, "?") {
				escaped = (&url.URL{Path: "/" + value}).EscapedPath()[1:] // slashes remain slashes
			}
			path := strings.Replace(h.path, "%s", escaped, 1)
			a := c.want(h.status, h.method, path, nil)
			if h.code != "" {
				require.Equal(t, h.code, a.errors(t)[0].Code, "%s: %.200q", h.parameter, value)
			}
			require.Less(t, len(a.body), 2000, "%s: the response repeats too much", h.parameter)
		}
	}
}

func TestHostileRequests(t *testing.T) {
	_, c := newRegistry(t, nil)
	img := registrytest.RandomImage(1, 1, 10)
	c.push("a", img, "x")
	blob := "/v2/a/blobs/" + string(digest.FromBytes(img.Blobs[1]))
	var defects []defect
	add := func(status int, code, method, path string, body any, headers ...string) {
		for _, h := range headers {
			defects = append(defects, defect{method, path, body, h, status, code})
		}
	}
	for _, query := range []string{"?%", "?n=%zz", "?a;b", "?digest=%", "?;"} {
		for _, path := range []string{"GET /v2/_catalog", "GET /v2/a/tags/list", "POST /v2/a/blobs/uploads/",
			"PUT /v2/a/manifests/x", "GET " + blob} {
			method, path, _ := strings.Cut(path, " ")
			add(400, "UNSUPPORTED", method, path+query, nil, "")
		}
	}
	add(400, "NAME_INVALID", "GET", "/v2/a%2Fb/tags/list", nil, "")
	add(400, "NAME_INVALID", "GET", "/v2/a/tags%2flist", nil, "")
	add(416, "SIZE_INVALID", "GET", blob, nil, "Range: bytes=9-1", "Range: bytes="+digits+"-", "Range: bytes=a",
		"Range: bytes", "Range: bytes=-0", "Range: bytes=--1")
	add(416, "BLOB_UPLOAD_INVALID", "PATCH", c.startUpload("a"), "abc", "Content-Range: x", "Content-Range: 0-3",
		"Content-Range: 2-0", "Content-Range: -3",
		"Content-Range: 1-3", "Content-Range: 0-"+digits, "Content-Range: bytes=0-2", "Content-Range: bytes 0-2/2",
		"Content-Range: 0-2,5-6")
	add(400, "BLOB_UPLOAD_INVALID", "POST", "/v2/a/blobs/uploads/", "body", "")
	add(400, "BLOB_UPLOAD_INVALID", "POST", "/v2/a/blobs/uploads/?mount="+sha256Zeros, strings.NewReader("body"), "")
	add(400, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/x", img.Manifest, "Content-Type: x", "Content-Type: ;",
		"Content-Type: a/b/c", "Content-Type: application/json",
		"Content-Type: "+long[:1000], "Content-Type: text/html",
		"Content-Type: application/vnd.docker.distribution.manifest.v1+json")
	mediaType := "Content-Type: " + img.Descriptor.MediaType
	for _, content := range []string{"", "x", "null", "[]", "{", "{}", "1", `"x"`, `{"layers":[],"manifests":[]}`,
		`{"schemaVersion":1}`, `{"schemaVersion":2,"layers":{}}`,
		`{"schemaVersion":2,"mediaType":1}`, strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000),
		string(img.Manifest) + "x", "\xff\xfe{}", "\x00"} {
		add(400, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/x", content, mediaType)
	}
	for _, d := range defects {
		headers := []string{}
		if d.header != "" {
			headers = append(headers, d.header)
		}
		c.refused(d.status, d.code, d.method, d.path, d.body, headers...)
	}
	c.refused(400, "MANIFEST_INVALID", "PUT", "/v2/a/manifests/x", img.Manifest, mediaType, mediaType)
	c.refused(416, "SIZE_INVALID", "GET", blob, nil, "Range: bytes=0-1", "Range: bytes=0-1")
	c.refused(416, "BLOB_UPLOAD_INVALID", "PATCH", c.startUpload("a"), "abc", "Content-Range: 0-2", "Content-Range: 0-2")
}

// TestHostilePaths: the registry rejects paths that a mux would clean and redirect, and it serves
// no other path for them.
func TestHostilePaths(t *testing.T) {
	s, _ := newRegistry(t, nil)
	for _, path := range []string{"//v2/", "/v2//", "/v2/../v2/", "/v2/./", "/v2/a//tags/list", "/v2/a/../b/tags/list",
		"/v2/a/%2e%2e/b/tags/list", "/v2/%00/tags/list",
		"/v2/a/tags/list/", "/v2/a/tags/list/..", "/v2/a/manifests/..", "/v2/a/manifests/%2e%2e",
		"/v2/a/manifests/../../_catalog", "/v2/..%2f..%2fetc/tags/list", `/v2/..\..\etc/tags/list`,
		"/v2/a/blobs/uploads/../../tags/list", "/v2/a/blobs/../manifests/x", "/V2/", "/v2/%5fcatalog/",
		"/v2/" + strings.Repeat("/", 1000)} {
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "CONNECT"} {
			w := httptest.NewRecorder()
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			u, err := url.ParseRequestURI(path)
			require.NoError(t, err)
			req.Method, req.URL, req.RequestURI = method, u, path
			s.Registry.ServeHTTP(w, req)
			require.Contains(t, []int{400, 404, 405}, w.Code, "%s %s", method, path)
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.Empty(t, w.Header().Get("Location"))
		}
	}
}
