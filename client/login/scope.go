package login

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/registrykit/registry/reference"
)

const (
	maxScopes    = 32
	maxScopeSize = 4 << 10 // bytes of all scopes of a challenge
)

// scopesOf returns the scopes that a request to the registry needs, in normalized form. The second
// result is false if the path is not one of the distribution spec. Registries may use such paths for
// uploads.
func scopesOf(req *http.Request, base *url.URL) (string, bool) {
	rest, ok := strings.CutPrefix(req.URL.Path, base.Path+"/v2/")
	switch {
	case !ok:
		return "", req.URL.Path == base.Path+"/v2"
	case rest == "":
		return "", true
	case rest == "_catalog":
		return "registry:catalog:*", true
	}
	name := repositoryOf(rest)
	if reference.CheckName(name) != nil {
		return "", false
	}
	scopes := "repository:" + name + ":"
	if !strings.Contains(rest[len(name):], "/blobs/uploads/") {
		switch req.Method {
		case http.MethodGet, http.MethodHead:
			return scopes + "pull", true
		case http.MethodDelete:
			return scopes + "delete", true
		}
	}
	scopes += "pull,push"
	if from := req.URL.Query().Get("from"); from != "" && from != name && reference.CheckName(from) == nil {
		scopes = normalize(scopes + " repository:" + from + ":pull")
	}
	return scopes, true
}

// repositoryOf returns the name of the repository in a path below /v2/, or "".
func repositoryOf(path string) string {
	if name, ok := strings.CutSuffix(path, "/tags/list"); ok {
		return name
	}
	if i := strings.LastIndex(path, "/blobs/uploads/"); i >= 0 {
		return path[:i]
	}
	parent, _ := cutLast(strings.TrimSuffix(path, "/"))
	name, kind := cutLast(parent)
	if kind != "manifests" && kind != "blobs" && kind != "referrers" {
		return ""
	}
	return name
}

// cutLast cuts s around its last slash. Without one, before is "".
func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

// normalize returns the scopes of a challenge sorted, each once, with sorted actions. It returns ""
// if they are malformed or too many.
func normalize(scopes string) string {
	if len(scopes) > maxScopeSize || strings.ContainsFunc(scopes, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	actions := map[string][]string{} // by type and name
	for s := range strings.FieldsSeq(scopes) {
		i := strings.LastIndexByte(s, ':')
		if i < 0 || len(actions) == maxScopes {
			return ""
		}
		for a := range strings.SplitSeq(s[i+1:], ",") {
			if !slices.Contains(actions[s[:i]], a) {
				actions[s[:i]] = append(actions[s[:i]], a)
			}
		}
	}
	all := make([]string, 0, len(actions))
	for thing, list := range actions {
		slices.Sort(list)
		all = append(all, thing+":"+strings.Join(list, ","))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// covers reports whether normalized scopes include all of need.
func covers(scopes, need string) bool {
	for n := range strings.FieldsSeq(need) {
		i := strings.LastIndexByte(n, ':')
		covered := false
		for s := range strings.FieldsSeq(scopes) {
			j := strings.LastIndexByte(s, ':')
			if s[:j] != n[:i] {
				continue
			}
			have := strings.Split(s[j+1:], ",")
			covered = !slices.ContainsFunc(strings.Split(n[i+1:], ","), func(a string) bool {
				return !slices.Contains(have, a) && !slices.Contains(have, "*")
			})
		}
		if !covered {
			return false
		}
	}
	return true
}
