package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed assets
var assetFiles embed.FS

// assets are the style sheets, scripts and images of the page. Their URLs contain a hash of all of
// them, so browsers keep them for ever, and a script finds the modules that it imports beside
// itself.
type assets struct {
	content map[string][]byte // by name, such as "page.css"
	base    string            // of the URLs, with the hash
	hash    string
}

// logoTypes are the media types of a logo.
var logoTypes = map[string]string{"image/png": "logo.png", "image/jpeg": "logo.jpg", "image/webp": "logo.webp",
	"image/svg+xml": "logo.svg"}

// newAssets reads the files of the page and of the host. prefix is Options.Path.
//
// Errors: an error for a logo of an unknown type.
func newAssets(look *Look, prefix string) (*assets, error) {
	a := &assets{content: map[string][]byte{}}
	err := fs.WalkDir(assetFiles, "assets", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := assetFiles.ReadFile(file)
		name := strings.TrimPrefix(file, "assets/")
		if strings.HasPrefix(name, "css/") { // in the order of their names
			name = "page.css"
		}
		a.content[name] = append(a.content[name], content...)
		return err
	})
	if err != nil {
		return nil, err
	}
	var own bytes.Buffer
	if look.Accent != "" {
		own.WriteString(":root { --accent: " + look.Accent + "; }\n")
	}
	own.Write(look.CSS)
	if own.Len() > 0 {
		a.content["host.css"] = own.Bytes()
	}
	if len(look.Logo) > 0 {
		kind, _, _ := mime.ParseMediaType(http.DetectContentType(look.Logo))
		if bytes.Contains(look.Logo, []byte("<svg")) {
			kind = "image/svg+xml"
		}
		name, ok := logoTypes[kind]
		if !ok {
			return nil, errors.New("web: Look.Logo is neither PNG, SVG, WebP nor JPEG")
		}
		a.content[name] = look.Logo
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(a.content)) {
		fmt.Fprintf(sum, "%s %d\n", name, len(a.content[name]))
		sum.Write(a.content[name])
	}
	a.hash = base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:9])
	a.base = prefix + "assets/" + a.hash + "/"
	return a, nil
}

// url returns the URL of a file, or "" if there is none. A name that ends with ".*" matches any extension.
func (a *assets) url(name string) string {
	if stem, ok := strings.CutSuffix(name, ".*"); ok {
		for found := range a.content {
			if strings.HasPrefix(found, stem+".") {
				name = found
			}
		}
	}
	if a.content[name] == nil {
		return ""
	}
	return a.base + name
}

// serve serves a file. file is its hash and its name.
func (a *assets) serve(w http.ResponseWriter, r *http.Request, file string) {
	hash, name, _ := strings.Cut(file, "/")
	content, ok := a.content[name]
	if !ok || a.hash != hash {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	if kind := mime.TypeByExtension(path.Ext(name)); kind != "" {
		w.Header().Set("Content-Type", kind)
	}
	if strings.HasSuffix(name, ".svg") { // a logo of the host, opened by itself
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}
