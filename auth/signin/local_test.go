package signin_test

import (
	"net/url"
	"strings"
	"testing"
)

// checkStays fails the test if a browser that resolves a path leaves the host. Browsers drop tabs
// and line ends, and take a backslash for a slash (WHATWG URL).
func checkStays(t *testing.T, path string) {
	t.Helper()
	seen := strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(strings.Trim(path, "\x00 "))
	base, err := url.Parse("https://registry.example/signin/")
	if err != nil {
		t.Fatal(err)
	}
	to, err := base.Parse(seen)
	if err != nil {
		t.Fatalf("%q cannot be parsed: %v", path, err)
	}
	if to.Scheme != "https" || to.Host != "registry.example" || to.User != nil || strings.HasPrefix(seen, "//") {
		t.Fatalf("%q leads to %s", path, to)
	}
}
