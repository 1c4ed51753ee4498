package web_test

import (
	"html/template"
	"io"
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/web"
)

// TestHostOptions: a look, a link, a language or a layout that the page cannot have is an error at the start.
func TestHostOptions(t *testing.T) {
	manage := newAPI()
	layout := template.Must(template.New("").Parse("{{.NoSuchField}}"))
	for name, o := range map[string]web.Options{
		"javascript":         {Links: []web.Link{{Title: "x", URL: "javascript:alert(1)"}}},
		"hidden javascript":  {Links: []web.Link{{Title: "x", URL: " JaVaScRiPt:alert(1)"}}},
		"data":               {Links: []web.Link{{Title: "x", URL: "data:text/html,x"}}},
		"relative":           {Links: []web.Link{{Title: "x", URL: "x/y"}}},
		"no host":            {Links: []web.Link{{Title: "x", URL: "https:x"}}},
		"backslash":          {Links: []web.Link{{Title: "x", URL: `/\evil.example`}}},
		"malformed":          {Links: []web.Link{{Title: "x", URL: "https://%zz"}}},
		"no title":           {Links: []web.Link{{Title: " ", URL: "/"}}},
		"accent with a rule": {Look: web.Look{Accent: "red; } body { display: none"}},
		"accent with a URL":  {Look: web.Look{Accent: "URL(x)"}},
		"accent, brackets":   {Look: web.Look{Accent: "rgb(1, 2, 3"}},
		"large logo":         {Look: web.Look{Logo: make([]byte, 64<<10+1)}},
		"logo of no type":    {Look: web.Look{Logo: []byte("GIF89a")}},
		"large CSS":          {Look: web.Look{CSS: make([]byte, 256<<10+1)}},
		"language":           {Languages: []string{"en", "xx"}},
		"language twice":     {Languages: []string{"en", "en"}},
		"layout":             {Layout: layout},
		"view":               {Without: []string{"no-such-view"}},
		"path":               {Path: "ui"},
		"path of a host":     {Path: "//ui/"},
	} {
		_, err := web.New(manage, &o)
		require.ErrorContains(t, err, "web: ", name)
	}
	for _, o := range []web.Options{
		{Links: []web.Link{{Title: "x", URL: "/terms"}, {Title: "y", URL: "http://a.example/?b=c#d"}}},
		{Look: web.Look{Accent: "oklch(0.5 0.17 255 / 90%)", Logo: []byte("<svg xmlns='http://www.w3.org/2000/svg'/>")}},
		{Languages: []string{"zh-CN"}},
	} {
		_, err := web.New(manage, &o)
		require.NoError(t, err)
	}
}

// TestLook: the page has the name, the logo, the colour and the style sheet of the host.
func TestLook(t *testing.T) {
	s := newSite(t, func(_ *site, _ *api.Options, o *web.Options) {
		o.Name = "Harbour <side>"
		o.Look = web.Look{Accent: "#7a1f5c", CSS: []byte("body { color: red; }"),
			Logo: []byte("<svg xmlns='http://www.w3.org/2000/svg'/>")}
		o.Links = []web.Link{{Title: "Terms & more", URL: "/terms"}}
	})
	r := s.get(t, "", "/")
	require.Equal(t, "Harbour <side>", strings.TrimSpace(r.doc.Find(".top .name").Text()))
	require.Equal(t, "Terms & more", r.doc.Find(`.bottom a[href="/terms"]`).Text())
	logo := r.doc.Find(".top .name img").AttrOr("src", "")
	require.Equal(t, logo, r.doc.Find("link[rel=icon]").AttrOr("href", ""))
	for path, want := range map[string]string{
		r.doc.Find("link[rel=stylesheet]").Last().AttrOr("href", ""): ":root { --accent: #7a1f5c; }\nbody { color: red; }",
		logo: "<svg xmlns='http://www.w3.org/2000/svg'/>",
	} {
		content, header := s.file(t, path)
		require.Equal(t, want, content)
		require.Contains(t, header.Get("Cache-Control"), "immutable")
	}
	_, header := s.file(t, logo)
	require.Contains(t, header.Get("Content-Security-Policy"), "sandbox")
}

// file requests a file of the page, which has a policy of its own.
func (s *site) file(t *testing.T, path string) (content string, header http.Header) {
	t.Helper()
	res, err := http.Get(s.url + path)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, path)
	return string(b), res.Header
}

// TestWithout: a view that the host leaves out does not exist, and nothing leads to it.
func TestWithout(t *testing.T) {
	s := newSite(t, func(_ *site, _ *api.Options, o *web.Options) { o.Without = []string{"theme"} })
	require.Equal(t, http.StatusNotFound, s.get(t, "", "/theme?to=dark").StatusCode)
	require.Zero(t, s.get(t, "", "/").doc.Find(`a[href*="/theme"]`).Length())
}

// TestTheme: the colours follow the system until somebody chooses others, which a cookie keeps.
func TestTheme(t *testing.T) {
	s := newSite(t, nil)
	scheme := func(cookie string) string {
		r, err := http.NewRequest(http.MethodGet, s.url+"/ui/", nil)
		require.NoError(t, err)
		r.AddCookie(&http.Cookie{Name: "registry-theme", Value: cookie})
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		doc, err := goquery.NewDocumentFromReader(res.Body)
		require.NoError(t, err)
		return doc.Find("meta[name=color-scheme]").AttrOr("content", "")
	}
	require.Equal(t, "dark", scheme("dark"))
	require.Equal(t, "light", scheme("light"))
	require.Equal(t, "light dark", scheme("pink"))

	page := s.get(t, "", "/")
	require.Equal(t, "System", page.doc.Find(`.bottom nav[aria-label=Colours] [aria-current]`).Text())
	link, ok := page.doc.Find(`.bottom a[href*="to=dark"]`).Attr("href")
	require.True(t, ok)
	chosen := s.get(t, "", strings.TrimPrefix(link, "/ui"))
	require.Equal(t, http.StatusSeeOther, chosen.StatusCode)
	require.Equal(t, "/ui/", chosen.Header.Get("Location"))
	require.Regexp(t, `^registry-theme=dark; Path=/ui/; Max-Age=\d+; HttpOnly; SameSite=Lax$`,
		chosen.Header.Get("Set-Cookie"))
	require.Contains(t, s.get(t, "", "/theme?to=pink").Header.Get("Set-Cookie"), "Max-Age=0")
	require.Equal(t, "/ui/", s.get(t, "", "/theme?to=dark&return=//evil.example/").Header.Get("Location"))
}

// TestMenus: the header leads to what the caller may see.
func TestMenus(t *testing.T) {
	s := newSite(t, nil)
	titles := func(as string) string {
		return strings.Join(strings.Fields(s.get(t, as, "/").doc.Find(".top nav").Text()), " ")
	}
	require.Equal(t, "Repositories", titles(""))
	require.Contains(t, titles("bob"), "Repositories")
	require.NotContains(t, titles("bob"), "Administration")
	r := s.get(t, "boss", "/")
	require.Equal(t, "page", r.doc.Find(".top nav a").First().AttrOr("aria-current", ""))
	require.Equal(t, "boss", r.doc.Find(".top details").Last().Find("summary").Text())
	r.doc.Find(".top nav a").Each(func(_ int, a *goquery.Selection) {
		target := a.AttrOr("href", "")
		require.Equal(t, http.StatusOK, s.get(t, "boss", strings.TrimPrefix(target, "/ui")).StatusCode, target)
	})
}

// TestSizes: the files of the page stay small: style sheets, scripts and the icon are at most 24 KiB, 16 KiB and 2 KiB.
func TestSizes(t *testing.T) {
	sizes := map[string]int64{}
	require.NoError(t, fs.WalkDir(os.DirFS("assets"), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, err := d.Info()
			require.NoError(t, err)
			sizes[filepath.Ext(path)] += info.Size()
		}
		return err
	}))
	for extension, most := range map[string]int64{".css": 25 << 10, ".js": 16 << 10, ".svg": 2 << 10} {
		require.NotZero(t, sizes[extension], extension)
		require.LessOrEqual(t, sizes[extension], most, extension)
	}
}

// colours matches a variable with a light and a dark colour.
var colours = regexp.MustCompile(`(--[a-z-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\)`)

// TestContrast: texts have a contrast of at least 4.5 to 1 on all backgrounds, and the borders of fields one of 3 to 1
// (WCAG 2.2, level AA).
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("assets/css/10-base.css")
	require.NoError(t, err)
	light, dark := map[string]string{}, map[string]string{}
	for _, m := range colours.FindAllStringSubmatch(string(css), -1) {
		light[m[1]], dark[m[1]] = m[2], m[3]
	}
	for _, theme := range []map[string]string{light, dark} {
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"--text", "--bg", 7}, {"--text", "--surface", 7}, {"--muted", "--bg", 4.5}, {"--muted", "--surface", 4.5},
			{"--accent", "--bg", 4.5}, {"--accent", "--surface", 4.5}, {"--on-accent", "--accent", 4.5},
			{"--danger", "--surface", 4.5}, {"--good", "--surface", 4.5}, {"--warn", "--surface", 4.5},
			{"--edge", "--surface", 3}, {"--edge", "--bg", 3},
		} {
			require.GreaterOrEqual(t, contrast(t, theme[pair.front], theme[pair.back]), pair.least, "%+v %v", pair, theme)
		}
	}
}

// contrast returns the contrast of two colours, as WCAG defines it.
func contrast(t *testing.T, one, two string) float64 {
	t.Helper()
	a, b := luminance(t, one), luminance(t, two)
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}

// luminance returns the relative luminance of a colour such as "0b57d0".
func luminance(t *testing.T, colour string) (sum float64) {
	t.Helper()
	require.Len(t, colour, 6)
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[2*i:2*i+2], 16, 8)
		require.NoError(t, err)
		sum += weight * linear(float64(n)/255)
	}
	return sum
}

// linear returns the part of a colour without the gamma of sRGB.
func linear(c float64) float64 {
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}
