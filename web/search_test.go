package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/memory"
)

func TestSearch(t *testing.T) {
	h := newHomeSite(t, memory.New(nil))
	d := h.pushImage(t, "ann", "acme/shop", "v1.2", amd64, "layer")
	secret := h.pushImage(t, "boss", "secret/shop", "v1.3", amd64, "other")
	h.describe(t, "acme/shop", "Sells things")
	h.refresh(t)
	find := func(as, query string) *response {
		t.Helper()
		r := h.get(t, as, "/search?q="+url.QueryEscape(query))
		require.Equal(t, http.StatusOK, r.StatusCode, string(r.body))
		return r
	}
	r := find("ann", "shop")
	require.Equal(t, []string{"/ui/repositories/acme/shop"}, hrefs(r, ".found b a, .found li > a:first-child"))
	require.Contains(t, r.text, "Sells things")
	require.NotContains(t, r.text, "secret")
	require.Equal(t, []string{"/ui/repositories/acme/shop/-/images/v1.2"},
		hrefs(find("ann", "v1.2"), ".found li > a:first-child"))
	for _, query := range []string{d.String(), d.Encoded()[:12], "linux/amd64", "shop amd64"} {
		r = find("ann", query)
		require.Equal(t, []string{"/ui/repositories/acme/shop/-/images/" + d.String()}, hrefs(r, ".found li > a:first-child"),
			query)
		require.Contains(t, r.text, "acme/shop:v1.2")
	}
	require.Equal(t, []string{"/ui/search?kind=image&q=platform%3Alinux%2Famd64+repository%3Aacme%2Fshop"},
		hrefs(r, ".found a.chip"))
	require.Contains(t, find("ann", "acme").text, "Organisations acme")
	require.Contains(t, find("boss", "v1.*").text, "secret/shop:v1.3")
	for _, as := range []string{"bob", ""} {
		for _, query := range []string{"shop", "v1.2", d.String(), secret.String(), "amd64", "*"} {
			r = find(as, query)
			require.Zero(t, r.doc.Find(".found a[href*=shop]").Length(), query)
		}
		require.Contains(t, find(as, "shop").text, "Nothing matches that you may see.")
	}
	h.publish(t, "acme/shop")
	require.Contains(t, find("", "v1").text, "acme/shop:v1.2")
	require.NotContains(t, find("", "v1").text, "secret")
}

func TestSearchForms(t *testing.T) {
	h := newHomeSite(t, memory.New(nil))
	tags := []string{}
	for i := range 12 {
		tags = append(tags, "v"+strings.Repeat("1", i+1))
	}
	for _, tag := range tags {
		h.pushImage(t, "ann", "acme/shop", tag, amd64, "layer")
	}
	h.refresh(t)
	r := h.get(t, "ann", "/search")
	require.Contains(t, r.text, "What can be searched for")
	r = h.get(t, "ann", "/search?q=v1")
	require.Equal(t, 10, r.doc.Find(".found li").Length())
	more := r.doc.Find("section a.button").AttrOr("href", "")
	require.Equal(t, "/ui/search?kind=tag&q=v1", more)
	r = h.get(t, "ann", strings.TrimPrefix(more, "/ui"))
	require.Equal(t, 12, r.doc.Find(".found li").Length())
	require.Equal(t, "Tags", r.doc.Find("[aria-current=page]").Last().Text())
	require.Zero(t, r.doc.Find("section a.button").Length())
	r = h.submit(t, "ann", r, "main form", "q", "none")
	require.Contains(t, r.text, "Nothing matches that you may see.")
	r = h.get(t, "ann", "/search?q=tag:")
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
	require.Equal(t, "true", r.doc.Find("main input[name=q]").AttrOr("aria-invalid", ""))
	require.Equal(t, "tag:", r.doc.Find("main input[name=q]").AttrOr("value", ""))
	require.Equal(t, http.StatusBadRequest, h.get(t, "ann", "/search?q="+strings.Repeat("a", 300)).StatusCode)
	require.Equal(t, http.StatusBadRequest, h.get(t, "ann", "/search?q=a&kind=robot").StatusCode)
}

// TestSearchHostile: what clients have written is shown as text.
func TestSearchHostile(t *testing.T) {
	h := newHomeSite(t, memory.New(nil))
	labels := map[string]string{}
	for i, text := range hostile {
		labels["evil-"+string(rune('a'+i))] = text
	}
	config, err := json.Marshal(map[string]any{"architecture": hostile[0], "os": hostile[1],
		"config": map[string]any{"Labels": labels}})
	require.NoError(t, err)
	h.pushImage(t, "ann", "acme/shop", "v1", string(config), "layer")
	h.describe(t, "acme/shop", "mischief "+hostile[0]+hostile[6])
	h.refresh(t)
	h.publish(t, "acme/shop")
	for _, as := range []string{"ann", ""} {
		for _, query := range append([]string{"*", "label:evil*", "mischief", "v1"}, hostile[:len(hostile)-1]...) {
			if strings.ContainsRune(query, 0) {
				continue
			}
			r := h.get(t, as, "/search?q="+url.QueryEscape(query))
			require.Equal(t, http.StatusOK, r.StatusCode, query)
		}
		require.Contains(t, h.get(t, as, "/").text, "mischief")
	}
	require.Contains(t, h.get(t, "", "/search?q=label:evil*").text, "<script>alert(1)</script>")
}
