package page

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/demosite"
)

// TestShots writes screenshots of every view into the folder of -shots, for people to look at: DATA/VIEW-CALLER-NUMBER-
// WIDTH-COLOURS-LANGUAGE.png.
func TestShots(t *testing.T) {
	if *shots == "" {
		return
	}
	for _, data := range demosite.Sets() {
		s := newSite(t, data)
		dir := filepath.Join(*shots, string(data))
		require.NoError(t, os.MkdirAll(dir, 0o755))
		b := newTab(t)
		for i, v := range chosen(s.all(t), 1) {
			who := v.caller
			if who == "" {
				who = "nobody"
			}
			b.shots(s, v, filepath.Join(dir, fmt.Sprintf("%s-%s-%d", v.name, who, i)))
		}
	}
}

// shots writes the screenshots of one view.
func (b *tab) shots(s *site, v *view, file string) {
	b.t.Helper()
	for _, language := range []string{"en", "zh-CN"} {
		call(b, network.SetCookie, network.SetCookieParams{Name: "registry-language", Value: language,
			URL: strings.TrimSuffix(s.urls[v.caller], "/") + "/"})
		b.size(1440, 900, 1)
		b.open(s.urls[v.caller], v.path)
		for _, width := range []int64{320, 768, 1440} {
			b.size(width, 900, 1)
			for _, colours := range []string{"light", "dark"} {
				b.colours(colours)
				time.Sleep(50 * time.Millisecond) // for the layout
				b.shot(fmt.Sprintf("%s-%d-%s-%s.png", file, width, colours, language))
			}
		}
	}
}
