package registry

import (
	"net/http"
	"strings"
)

// LogPath returns the URL path of a request for a log, with "<id>" in place of an upload id. An id
// must not be logged: among anonymous callers, anyone who knows it can continue or cancel the
// upload.
func LogPath(req *http.Request) string {
	const uploads = "/blobs/uploads/"
	if before, id, ok := strings.Cut(req.URL.Path, uploads); ok && id != "" {
		return before + uploads + "<id>"
	}
	return req.URL.Path
}
