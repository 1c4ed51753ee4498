package wire

import "strings"

// CleanPath reports whether an escaped path begins with a slash and has no component that is empty,
// "." or "..". http.ServeMux redirects the client from other paths, and does not know what an outer
// handler has removed from the path. "/" is clean.
func CleanPath(path string) bool {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok || rest == "" {
		return ok
	}
	for component := range strings.SplitSeq(rest, "/") {
		if component == "" || component == "." || component == ".." {
			return false
		}
	}
	return true
}
