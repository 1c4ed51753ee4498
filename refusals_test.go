package registry_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/registrytest"
)

// TestRefusals sends the requests of docs/refusals.md, each to a registry of its own.
func TestRefusals(t *testing.T) {
	page, err := os.ReadFile("docs/refusals.md")
	require.NoError(t, err)
	section, sent := "", 0
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = name
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) < 4 || !strings.HasPrefix(line, "| ") || !spans.MatchString(cells[len(cells)-1]) || cells[0] == "what" {
			continue
		}
		if section == "Time, room and other callers" {
			requireTest(t, strings.Trim(cells[len(cells)-1], "`"))
			continue
		}
		t.Run(cells[0], func(t *testing.T) {
			sent++
			n := len(cells)
			status, err := strconv.Atoi(cells[n-2])
			require.NoError(t, err, line)
			requireRefused(t, refuser(t, section, cells), cells[n-3], status, strings.Trim(cells[n-1], "`"))
		})
	}
	require.Greater(t, sent, 50, "the page has lost its tables")
}

var spans = regexp.MustCompile("`([^`]+)`")

// refuser returns a client of the registry for a row of the page.
func refuser(t *testing.T, section string, cells []string) *refused {
	store := registrytest.NewStore(t)
	r := &refused{img: registrytest.RandomImage(1, 2, 100), other: registrytest.RandomImage(2, 1, 100)}
	require.NoError(t, r.img.Push(t.Context(), store, "app", "v1"))
	require.NoError(t, r.other.Push(t.Context(), store, "app"))
	var b registry.Backend = store
	opts := &registry.Options{}
	switch {
	case section == "Rights":
		p := principals{"writer": {"repository:app:pull", "repository:app:push"}, "other": {"repository:b:*"}}
		opts.Authenticator, opts.Authorizer = p, p
		if r.header = "Principal: " + strings.Trim(cells[1], "`"); cells[1] == "anonymous" {
			r.header = ""
		}
	case section == "Options":
		switch strings.Trim(cells[0], "`") {
		case "NoDelete.Blobs":
			opts.NoDelete.Blobs = true
		case "NoDelete.UsedBlobs":
			opts.NoDelete.UsedBlobs = true
		case "MaxManifestSize":
			opts.MaxManifestSize = 10
		case "MaxBlobSize":
			opts.MaxBlobSize = 6
		case "filter.Immutable":
			b = filter.Immutable(b, nil)
		case "filter.ReadOnly":
			b = filter.ReadOnly(b)
		default:
			t.Fatalf("unknown option %s", cells[0])
		}
	}
	r.client = serve(t, b, opts)
	return r
}

// refused is a client of a registry whose repository "app" has two images.
type refused struct {
	*client
	img, other *registrytest.Content
	header     string
}

// requireRefused sends the request in a cell of the page and compares the response.
func requireRefused(t *testing.T, r *refused, cell string, status int, code string) {
	t.Helper()
	parts := spans.FindAllStringSubmatch(cell, -1)
	require.NotEmpty(t, parts)
	if strings.Contains(cell, "<upload>") {
		r.upload(t, &cell)
		parts = spans.FindAllStringSubmatch(cell, -1)
	}
	var body any
	var headers []string
	if r.header != "" {
		headers = append(headers, r.header)
	}
	for _, p := range parts[1:] {
		name, _, isHeader := strings.Cut(p[1], ": ")
		switch {
		case isHeader && !strings.ContainsAny(name, `{"`):
			headers = append(headers, r.fill(p[1]))
		case p[1] == "image":
			body = r.img.Manifest
		case p[1] == "other image":
			body = r.other.Manifest
		default:
			body = p[1]
		}
	}
	method, path, _ := strings.Cut(parts[0][1], " ")
	if b, ok := body.([]byte); ok && !strings.Contains(cell, "Content-Type") {
		require.NotEmpty(t, b)
		headers = append(headers, "Content-Type: "+r.img.Descriptor.MediaType)
	}
	r.refused(status, code, method, r.fill(path), body, headers...)
}

// upload replaces <upload> with the path of an upload that has received five bytes.
func (r *refused) upload(t *testing.T, cell *string) {
	t.Helper()
	location := r.want(202, "POST", "/v2/app/blobs/uploads/", nil).Header.Get("Location")
	location = r.want(202, "PATCH", location, "five.").Header.Get("Location")
	*cell = strings.ReplaceAll(*cell, "<upload>", location)
}

// fill replaces a placeholder with its value.
func (r *refused) fill(s string) string {
	types, tags := url.Values{}, url.Values{}
	for i := range 65 {
		types.Add("artifactType", "application/x-"+strconv.Itoa(i))
		tags.Add("tag", "t"+strconv.Itoa(i))
	}
	return strings.NewReplacer(
		"<blob>", string(digest.FromBytes(r.img.Blobs[1])), "<manifest>", string(r.img.Descriptor.Digest), "<none>",
		sha256Zeros,
		"<65 artifact types>", types.Encode(), "<65 tags>", tags.Encode(),
	).Replace(s)
}

// requireTest requires that a test named on the page exists.
func requireTest(t *testing.T, name string) {
	t.Helper()
	found := false
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || found || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		found = strings.Contains(string(content), "func "+name+"(")
		return err
	}))
	require.True(t, found, "there is no test %s", name)
}
