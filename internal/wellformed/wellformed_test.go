package wellformed_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/wellformed"
)

func TestCheck(t *testing.T) {
	page := func(body string) []byte {
		return []byte("<!doctype html><html lang=en><head><title>x</title></head><body>" + body + "</body></html>")
	}
	for _, good := range []string{"", "<p>a<br>b</p>", "<table><tbody><tr><td>x</td></tr></tbody></table>",
		`<svg viewBox="0 0 1 1"><rect width="1"/></svg>`, "<p>&lt;script&gt;</p>"} {
		require.NoError(t, wellformed.Check(page(good)), good)
	}
	for _, bad := range []string{"<p><div></div></p>", "<b><i></b></i>", "<div>", "</p>", `<p id="a" id="b"></p>`,
		"<table><tr><td>x</td></tr></table>", "<table><tbody><p>x</p></tbody></table>", "<a href=x><a href=y></a></a>",
		"<form><form></form></form>"} {
		require.Error(t, wellformed.Check(page(bad)), bad)
	}
}
