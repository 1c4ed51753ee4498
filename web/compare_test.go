package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
)

func TestCompare(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/shop", "v1", shop, "base", "one")
	s.pushImage(t, "ann", "acme/shop", "v2", strings.NewReplacer("TZ=UTC", "TZ=CET", "65532", "0", `"stage":"prod"`,
		`"stage":"test"`).Replace(shop), "base", "two!")
	other := s.pushImage(t, "ann", "acme/other", "x", amd64, "base")
	const path = "/repositories/acme/shop/-/compare"
	r := s.get(t, "ann", path)
	require.Equal(t, http.StatusOK, r.StatusCode, string(r.body))
	require.Equal(t, 2, r.doc.Find("datalist option").Length())
	r = s.submit(t, "ann", r, "form.compare-form", "from", "v1", "to", "v2")
	require.Equal(t, http.StatusOK, r.StatusCode, string(r.body))
	layers := r.doc.Find(`table[aria-labelledby="layers"] tbody tr`)
	require.Equal(t, 3, layers.Length())
	require.Contains(t, layers.Eq(0).Text(), "both")
	require.Contains(t, layers.Eq(1).Text(), "first only")
	require.Contains(t, layers.Eq(2).Text(), "second only")
	config := r.doc.Find(`table[aria-labelledby="config"] tbody tr`)
	require.Equal(t, 3, config.Length(), config.Text())
	require.Contains(t, config.Eq(0).Text(), "User")
	require.Contains(t, config.Eq(1).Text(), "TZ")
	require.Contains(t, config.Eq(2).Text(), "stage")
	require.Contains(t, s.get(t, "ann", path+"?from=v1&to=v1").text, "Both are the same image")
	r = s.get(t, "ann", path+"?from=v1&to="+other.String()+"&in=acme/other")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, r.text, "acme/other")
}

func TestCompareRefuses(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/shop", "v1", amd64, "layer")
	s.pushImage(t, "bob", "bob/own", "v1", amd64, "layer")
	const path = "/repositories/acme/shop/-/compare"
	for query, field := range map[string]string{"?from=v1&to=none": "to", "?from=none&to=v1": "from",
		"?from=v1&to=v1&in=bob/own": "to", "?from=v1&to=%3Cscript%3E": "to", "?from=sha256:x&to=v1": "from",
		"?from=v1&to=v1&in=NO": "to", "?from=v1&to=v1&in=../x": "to"} {
		r := s.get(t, "ann", path+query)
		require.Equal(t, http.StatusNotFound, r.StatusCode, query)
		require.Equal(t, field, r.doc.Find(`[aria-invalid="true"]`).AttrOr("name", ""), query)
		require.Equal(t, "v1", r.doc.Find("input[name=from], input[name=to]").FilterFunction(
			func(_ int, e *goquery.Selection) bool { return e.AttrOr("name", "") != field }).First().AttrOr("value", ""), query)
	}
	require.Equal(t, http.StatusOK, s.get(t, "ann", path+"?from=v1").StatusCode)
	require.Equal(t, http.StatusNotFound, s.get(t, "bob", path).StatusCode)
	require.Equal(t, http.StatusNotFound, s.get(t, "bob", path+"?from=v1&to=v1").StatusCode)
	require.Equal(t, http.StatusUnauthorized, s.get(t, "", path).StatusCode)
	require.Equal(t, http.StatusOK, s.get(t, "boss", path).StatusCode)
}

func TestCompareIndexes(t *testing.T) {
	s := newSite(t, nil)
	const typeImage = ocispec.MediaTypeImageManifest
	amd := s.pushImage(t, "ann", "acme/shop", "amd", amd64, "layer")
	arm := s.pushImage(t, "ann", "acme/shop", "arm", strings.ReplaceAll(amd64, "amd64", "arm64"), "arm layer")
	s.pushElements(t, "acme/shop", "v1", true, element(arm, typeImage, "linux/arm64"),
		element(amd, typeImage, "linux/amd64"),
		element(digest.FromString("none"), typeImage, "linux/s390x"))
	s.pushElements(t, "acme/shop", "v2", true, element(arm, typeImage, "linux/arm64"),
		element(amd, typeImage, "linux/amd64"))
	const path = "/repositories/acme/shop/-/compare?from=v1&to="
	r := s.get(t, "ann", path+"v2")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, "linux/amd64", r.doc.Find(".tabs a[aria-current]").Text())
	require.Contains(t, r.text, "Only the first one has: linux/s390x")
	require.Contains(t, s.get(t, "ann", path+"v2&platform=linux/arm64").text, arm.String()[:19])
	r = s.get(t, "ann", path+"arm")
	require.Equal(t, 1, r.doc.Find(".tabs a").Length())
	require.Contains(t, r.text, "linux/arm64")
	r = s.get(t, "ann", path+"v2&platform=linux/s390x")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, r.text, "not in the repository")
	before := s.calls.Load()
	s.get(t, "ann", path+"v2")
	require.LessOrEqual(t, s.calls.Load()-before, int64(12))
}
