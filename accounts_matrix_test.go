package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// matrixCallers are the columns of the matrix. All users are members of the organisation acme, except for other.
//
//	anon      without credentials, or with an anonymous token
//	read, write, maint  in a team with this role everywhere in acme
//	owner     an owner of acme: the admin of the namespace
//	other     an owner of the organisation other
//	robot     acme+deploy, which may write in app/**
//	narrow    a secret of the owner with the scope "read in acme/app/**"
//	ci        a job with an ID token, without an account: a rule lets it pull and push in acme/app
//	admin     an admin of the registry
//	off       a user in the team of maint, disabled after the token was issued
//	revoked   a secret of maint, revoked after the token was issued
//	expired   an expired secret of maint, and an expired token
const matrixCallers = `anon read write maint owner other robot narrow ci admin off revoked expired`

// matrix says for each route, and each caller, what the response is:
//
//	y  served, with the status OK of the row
//	l  refused with 401 and a challenge: log in
//	n  refused with 403
//
// "a/b" is a with the credentials themselves and b with a token for them from the token service.
// NAME is the repository, TAG and DIGEST are a manifest or a blob in it, and ID is an upload of the caller.
const matrix = `
# route                                                 OK   ano rea wri mai own oth rob nar ci  adm off rev exp
GET    /v2/                                             200  l/y y   y   y   y   y   y   y   y   y   l/y l/y l
HEAD   /v2/                                             200  l/y y   y   y   y   y   y   y   y   y   l/y l/y l
GET    /v2/_catalog                                     200  y   y   y   y   y   y   y   y   y   y   l/n l/n l
HEAD   /v2/_catalog                                     200  y   y   y   y   y   y   y   y   y   y   l/n l/n l

= private repository acme/app
GET    /v2/NAME/manifests/TAG                           200  l   y   y   y   y   n   y   y   y   y   l/n l/n l
GET    /v2/NAME/manifests/DIGEST                        200  l   y   y   y   y   n   y   y   y   y   l/n l/n l
HEAD   /v2/NAME/manifests/TAG                           200  l   y   y   y   y   n   y   y   y   y   l/n l/n l
HEAD   /v2/NAME/manifests/DIGEST                        200  l   y   y   y   y   n   y   y   y   y   l/n l/n l
PUT    /v2/NAME/manifests/TAG                           201  l   n   y   y   y   n   y   n   y   y   l/n l/n l
PUT    /v2/NAME/manifests/DIGEST                        201  l   n   y   y   y   n   y   n   y   y   l/n l/n l
PUT    /v2/NAME/manifests/DIGEST?tag=x&tag=y            201  l   n   y   y   y   n   y   n   y   y   l/n l/n l
DELETE /v2/NAME/manifests/TAG                           202  l   n   n   y   y   n   n   n   n   y   l/n l/n l
DELETE /v2/NAME/manifests/DIGEST                        202  l   n   n   y   y   n   n   n   n   y   l/n l/n l
GET    /v2/NAME/blobs/DIGEST                            200  l   y   y   y   y   n   y   y   y   y   l/n l/n l
HEAD   /v2/NAME/blobs/DIGEST                            200  l   y   y   y   y   n   y   y   y   y   l/n l/n l
DELETE /v2/NAME/blobs/DIGEST                            202  l   n   n   y   y   n   n   n   n   y   l/n l/n l
POST   /v2/NAME/blobs/uploads/                          202  l   n   y   y   y   n   y   n   y   y   l/n l/n l
POST   /v2/NAME/blobs/uploads/?digest=DIGEST            201  l   n   y   y   y   n   y   n   y   y   l/n l/n l
POST   /v2/NAME/blobs/uploads/?mount=DIGEST             201  l   n   y   y   y   n   y   n   y   y   l/n l/n l
POST   /v2/NAME/blobs/uploads/?mount=DIGEST&from=NAME   201  l   n   y   y   y   n   y   n   y   y   l/n l/n l
GET    /v2/NAME/blobs/uploads/ID                        204  l   n   y   y   y   n   y   n   y   y   l/n l/n l
HEAD   /v2/NAME/blobs/uploads/ID                        204  l   n   y   y   y   n   y   n   y   y   l/n l/n l
PATCH  /v2/NAME/blobs/uploads/ID                        202  l   n   y   y   y   n   y   n   y   y   l/n l/n l
PUT    /v2/NAME/blobs/uploads/ID?digest=DIGEST          201  l   n   y   y   y   n   y   n   y   y   l/n l/n l
DELETE /v2/NAME/blobs/uploads/ID                        204  l   n   y   y   y   n   y   n   y   y   l/n l/n l
GET    /v2/NAME/tags/list                               200  l   y   y   y   y   n   y   y   y   y   l/n l/n l
HEAD   /v2/NAME/tags/list                               200  l   y   y   y   y   n   y   y   y   y   l/n l/n l
GET    /v2/NAME/referrers/DIGEST                        200  l   y   y   y   y   n   y   y   y   y   l/n l/n l
HEAD   /v2/NAME/referrers/DIGEST                        200  l   y   y   y   y   n   y   y   y   y   l/n l/n l

= public repository acme/web
GET    /v2/NAME/manifests/TAG                           200  y   y   y   y   y   y   y   y   y   y   l/n l/n l
GET    /v2/NAME/manifests/DIGEST                        200  y   y   y   y   y   y   y   y   y   y   l/n l/n l
HEAD   /v2/NAME/manifests/TAG                           200  y   y   y   y   y   y   y   y   y   y   l/n l/n l
HEAD   /v2/NAME/manifests/DIGEST                        200  y   y   y   y   y   y   y   y   y   y   l/n l/n l
PUT    /v2/NAME/manifests/TAG                           201  l   n   y   y   y   n   n   n   n   y   l/n l/n l
PUT    /v2/NAME/manifests/DIGEST                        201  l   n   y   y   y   n   n   n   n   y   l/n l/n l
PUT    /v2/NAME/manifests/DIGEST?tag=x&tag=y            201  l   n   y   y   y   n   n   n   n   y   l/n l/n l
DELETE /v2/NAME/manifests/TAG                           202  l   n   n   y   y   n   n   n   n   y   l/n l/n l
DELETE /v2/NAME/manifests/DIGEST                        202  l   n   n   y   y   n   n   n   n   y   l/n l/n l
GET    /v2/NAME/blobs/DIGEST                            200  y   y   y   y   y   y   y   y   y   y   l/n l/n l
HEAD   /v2/NAME/blobs/DIGEST                            200  y   y   y   y   y   y   y   y   y   y   l/n l/n l
DELETE /v2/NAME/blobs/DIGEST                            202  l   n   n   y   y   n   n   n   n   y   l/n l/n l
POST   /v2/NAME/blobs/uploads/                          202  l   n   y   y   y   n   n   n   n   y   l/n l/n l
POST   /v2/NAME/blobs/uploads/?digest=DIGEST            201  l   n   y   y   y   n   n   n   n   y   l/n l/n l
POST   /v2/NAME/blobs/uploads/?mount=DIGEST             201  l   n   y   y   y   n   n   n   n   y   l/n l/n l
POST   /v2/NAME/blobs/uploads/?mount=DIGEST&from=NAME   201  l   n   y   y   y   n   n   n   n   y   l/n l/n l
GET    /v2/NAME/blobs/uploads/ID                        204  l   n   y   y   y   n   n   n   n   y   l/n l/n l
HEAD   /v2/NAME/blobs/uploads/ID                        204  l   n   y   y   y   n   n   n   n   y   l/n l/n l
PATCH  /v2/NAME/blobs/uploads/ID                        202  l   n   y   y   y   n   n   n   n   y   l/n l/n l
PUT    /v2/NAME/blobs/uploads/ID?digest=DIGEST          201  l   n   y   y   y   n   n   n   n   y   l/n l/n l
DELETE /v2/NAME/blobs/uploads/ID                        204  l   n   y   y   y   n   n   n   n   y   l/n l/n l
GET    /v2/NAME/tags/list                               200  y   y   y   y   y   y   y   y   y   y   l/n l/n l
HEAD   /v2/NAME/tags/list                               200  y   y   y   y   y   y   y   y   y   y   l/n l/n l
GET    /v2/NAME/referrers/DIGEST                        200  y   y   y   y   y   y   y   y   y   y   l/n l/n l
HEAD   /v2/NAME/referrers/DIGEST                        200  y   y   y   y   y   y   y   y   y   y   l/n l/n l
`

// matrixCatalog is what each caller finds in the catalog, of acme/app (private), acme/base (private), acme/web (public)
// and other/app (private).
const matrixCatalog = `
anon    acme/web
read    acme/app acme/base acme/web
write   acme/app acme/base acme/web
maint   acme/app acme/base acme/web
owner   acme/app acme/base acme/web
other   acme/web other/app
robot   acme/app acme/web
narrow  acme/app acme/web
ci      acme/app acme/web
admin   acme/app acme/base acme/web other/app
`

// matrixRow is a route of a repository, the status if it is served, and a cell for each caller.
type matrixRow struct {
	repo, method, path string
	status             int
	cells              []string
}

// TestAccountsMatrix requests every route as every caller, over real HTTP, with credentials and with tokens. A new
// route fails it until the matrix has rows for it.
func TestAccountsMatrix(t *testing.T) {
	rows := matrixRows(t)
	site := newMatrixSite(t)
	for i, caller := range strings.Fields(matrixCallers) {
		t.Run(caller, func(t *testing.T) {
			t.Parallel()
			s := site.with(t, caller)
			for _, row := range rows {
				with, withToken, differ := strings.Cut(row.cells[i], "/")
				if !differ {
					withToken = with
				}
				s.request(row, false, expected(with, row.status))
				s.request(row, true, expected(withToken, row.status))
			}
			s.checkCatalog()
		})
	}
}

// matrixRows returns the rows of the matrix, which are those of all routes.
func matrixRows(t *testing.T) []matrixRow {
	var rows []matrixRow
	seen := make(map[string]bool)
	repo := ""
	for line := range strings.Lines(strings.TrimSpace(matrix)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
			continue
		case words[0] == "=":
			repo = words[3]
			continue
		}
		require.Len(t, words, 3+len(strings.Fields(matrixCallers)), line)
		status, err := strconv.Atoi(words[2])
		require.NoError(t, err)
		rows = append(rows, matrixRow{repo, words[0], words[1], status, words[3:]})
		seen[repo+" "+words[0]+" "+words[1]] = true
	}
	for _, r := range registry.Routes("name", "TAG", sha256Zeros, "name", "ID") {
		path := strings.NewReplacer("/name/", "/NAME/", "=name", "=NAME", sha256Zeros, "DIGEST",
			"tag=TAG&tag=x", "tag=x&tag=y").Replace(r.Path)
		repos := []string{"acme/app", "acme/web"}
		if !strings.Contains(path, "NAME") {
			repos = []string{""}
		}
		for _, repo := range repos {
			require.Contains(t, seen, repo+" "+r.Method+" "+path, "the matrix lacks a route")
			delete(seen, repo+" "+r.Method+" "+path)
		}
	}
	require.Empty(t, seen, "the matrix has routes that do not exist")
	return rows
}

func expected(cell string, served int) int {
	return map[string]int{"y": served, "l": http.StatusUnauthorized, "n": http.StatusForbidden}[cell]
}

// request makes a request of a row and checks the status.
func (s *matrixCaller) request(row matrixRow, withToken bool, want int) {
	s.t.Helper()
	what := fmt.Sprintf("%s %s of %q, with token: %t", row.method, row.path, row.repo, withToken)
	ref, body, mediaType := "", []byte(nil), "application/octet-stream"
	if row.repo != "" {
		img := s.images[row.repo]
		require.NoError(s.t, img.Push(s.t.Context(), s.store, row.repo, "v1")) // a request before has perhaps deleted it
		ref, body = string(digest.FromBytes(img.Blobs[0])), img.Blobs[0]
		if strings.Contains(row.path, "manifests") || strings.Contains(row.path, "referrers") {
			ref, body, mediaType = string(img.Descriptor.Digest), img.Manifest, img.Descriptor.MediaType
		}
	}
	path := strings.NewReplacer("NAME", row.repo, "TAG", "v1", "DIGEST", ref).Replace(row.path)
	if strings.Contains(path, "/ID") {
		u, err := s.store.CreateUpload(s.t.Context(), row.repo, &registry.UploadOptions{Owner: s.names[s.caller]})
		require.NoError(s.t, err)
		path = strings.Replace(path, "/ID", "/"+u.ID(), 1)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), row.method, s.url+path, nil)
	require.NoError(s.t, err)
	if row.method == http.MethodPut || row.method == http.MethodPatch || strings.Contains(path, "?digest=") {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.Header.Set("Content-Type", mediaType)
	}
	s.authorize(req, s.caller, withToken)
	res, err := s.http.Do(req)
	require.NoError(s.t, err, what)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err, what)
	require.Equal(s.t, want, res.StatusCode, "%s: %.300s", what, text)
	require.Equal(s.t, want == 401, res.Header.Get("WWW-Authenticate") != "", what)
	if want == 401 || want == 403 {
		require.NotContains(s.t, string(text), "accounts:", what) // the reason is for the audit only
	}
}

// authorize sets the credentials of a caller.
func (s *matrixSite) authorize(req *http.Request, caller string, withToken bool) {
	switch {
	case withToken:
		req.Header.Set("Authorization", "Bearer "+s.tokens[caller])
	case caller != "anon":
		req.SetBasicAuth(s.basic[caller][0], s.basic[caller][1])
	}
}

// checkCatalog compares what the caller finds in the catalog.
func (s *matrixCaller) checkCatalog() {
	for _, repo := range slices.Sorted(maps.Keys(s.images)) {
		require.NoError(s.t, s.images[repo].Push(s.t.Context(), s.store, repo, "v1"))
	}
	for line := range strings.Lines(strings.TrimSpace(matrixCatalog)) {
		words := strings.Fields(line)
		if words[0] != s.caller {
			continue
		}
		for _, withToken := range []bool{false, true} {
			req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/v2/_catalog", nil)
			require.NoError(s.t, err)
			s.authorize(req, s.caller, withToken)
			res, err := s.http.Do(req)
			require.NoError(s.t, err)
			var list struct{ Repositories []string }
			require.NoError(s.t, json.NewDecoder(res.Body).Decode(&list))
			res.Body.Close()
			require.Equal(s.t, words[1:], list.Repositories, "with token: %t", withToken)
		}
	}
}
