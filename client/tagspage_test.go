package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/internal/upstreamtest"
)

// TestTagsPage: a page has what the registry sends, and the next one is asked for by its link.
func TestTagsPage(t *testing.T) {
	s := upstreamtest.New(t)
	for _, tag := range []string{"a", "b", "c", "d", "e"} {
		s.Image("r", tag)
	}
	c, err := client.New(s.URL, nil)
	require.NoError(t, err)
	page, err := c.TagsPage(t.Context(), "r", &client.TagsPageOptions{N: 2, After: "a"})
	require.NoError(t, err)
	require.Equal(t, []string{"b", "c"}, page.Tags)
	page, err = c.TagsPage(t.Context(), "r", &client.TagsPageOptions{Next: page.Next})
	require.NoError(t, err)
	require.Equal(t, &client.TagsPage{Tags: []string{"d", "e"}}, page)
	page, err = c.TagsPage(t.Context(), "r", nil)
	require.NoError(t, err)
	require.Len(t, page.Tags, 5)

	s.Break(upstreamtest.Match{Times: 1}, upstreamtest.Replace([]byte(`{"tags":["z","y","x"]}`)))
	page, err = c.TagsPage(t.Context(), "r", &client.TagsPageOptions{N: 1})
	require.NoError(t, err)
	require.Equal(t, []string{"z", "y", "x"}, page.Tags)
	_, err = c.TagsPage(t.Context(), "none", nil)
	require.ErrorIs(t, err, registry.ErrNameUnknown)
	_, err = c.TagsPage(t.Context(), "../x", nil)
	require.ErrorIs(t, err, registry.ErrNameInvalid)
}

// TestTagsPageIsHostile: a registry cannot send the client elsewhere, or make it accept what is no
// tag.
func TestTagsPageIsHostile(t *testing.T) {
	s := upstreamtest.New(t)
	s.Image("r", "1")
	c, err := client.New(s.URL, nil)
	require.NoError(t, err)
	other := upstreamtest.New(t)
	tags := upstreamtest.Match{Kind: upstreamtest.Tags}
	for _, link := range []string{other.URL + "/v2/r/tags/list?n=1", "/v2/other/tags/list", "//example.com/v2/r/tags/list",
		"/v2/r/tags/../../x", "ftp://x/v2/r/tags/list"} {
		repair := s.Break(tags, upstreamtest.Header("Link", "<"+link+`>; rel="next"`))
		_, err := c.TagsPage(t.Context(), "r", nil)
		require.ErrorIs(t, err, client.ErrContent, link)
		repair()
		_, err = c.TagsPage(t.Context(), "r", &client.TagsPageOptions{Next: link})
		require.ErrorIs(t, err, client.ErrContent, link)
	}
	require.Zero(t, other.Count("", ""))
	for _, content := range []string{`{"tags":["a b"]}`, `{"tags":"a"}`, `{"tags":["a"],"Tags":["b"]}`, `[]`,
		`{"tags":[` + strings.Repeat(`"a",`, 100_001) + `"a"]}`} {
		repair := s.Break(tags, upstreamtest.Replace([]byte(content)))
		_, err := c.TagsPage(t.Context(), "r", nil)
		require.Error(t, err)
		repair()
	}
	// Another host, to which the registry redirects, may send a page, but does not name the next one.
	other.Image("r", "1")
	s.Break(tags, upstreamtest.Redirect(other.URL+"/v2/r/tags/list"))
	page, err := c.TagsPage(t.Context(), "r", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"1"}, page.Tags)
	other.Break(tags, upstreamtest.Header("Link", "</v2/r/tags/list?last=1>; rel=next"))
	_, err = c.TagsPage(t.Context(), "r", nil)
	require.ErrorIs(t, err, client.ErrContent)
}

func ExampleClient_TagsPage() {
	pages := map[string]string{"": `{"tags":["v10","v9"]}`, "2": `{"tags":["latest"]}`}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := r.URL.Query().Get("page")
		if page == "" {
			w.Header().Set("Link", `</v2/app/tags/list?page=2>; rel="next"`)
		}
		fmt.Fprint(w, pages[page])
	}))
	defer server.Close()
	c, err := client.New(server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for opts := (client.TagsPageOptions{}); ; {
		page, err := c.TagsPage(context.Background(), "app", &opts)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(page.Tags)
		if opts.Next = page.Next; opts.Next == "" {
			break
		}
	}
	// Output:
	// [v10 v9]
	// [latest]
}
