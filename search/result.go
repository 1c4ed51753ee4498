package search

import (
	"slices"
	"strings"
	"time"
)

// result returns a hit as a result.
func (m *matcher) result(h *hit) Result {
	e := h.entry
	r := Result{Kind: h.kind, Name: e.name, Summary: e.summary}
	if h.kind != Tag && h.kind != Image {
		r.Matched = m.described(e)
		if e.content != nil {
			r.Pushed = unix(e.content.pushed)
		}
		return r
	}
	r.Repository, r.Summary = e.name, ""
	if h.tag >= 0 {
		t := &e.content.tags[h.tag]
		r.Tag, r.Digest, r.Pushed = t.name, t.at.digest(), unix(t.set)
	}
	if h.manifest >= 0 {
		one := &e.content.manifests[h.manifest]
		r.Digest = one.digest.digest()
		if h.kind == Image {
			r.Pushed = unix(one.time)
		}
		if one.facts != nil {
			r.ArtifactType, r.Platforms = one.facts.artifactType, one.facts.platforms
		}
	}
	if r.Name = e.name + ":" + r.Tag; h.kind == Image {
		r.Name = e.name + "@" + r.Digest.String()
	}
	r.Matched = m.parts(h)
	return r
}

// described returns where the words are that are not in the name.
func (m *matcher) described(e *entry) (list []Match) {
	for i := range m.words {
		w := &m.words[i]
		if w.rank(e.name) != noMatch || w.rank(strings.ToLower(e.summary)) != noMatch {
			continue // a page shows both anyway
		}
		if from, to, ok := w.line(e.text); ok {
			list = appendMatch(list, FieldDescription, e.text[from:to])
		}
	}
	return list
}

// parts returns where the words are in a tag or image.
func (m *matcher) parts(h *hit) (list []Match) {
	c := h.entry.content
	for i := range m.words {
		w := &m.words[i]
		if h.kind == Tag && w.in(FieldTag) && w.rank(strings.ToLower(c.tags[h.tag].name)) != noMatch {
			list = appendMatch(list, FieldTag, c.tags[h.tag].name)
			continue
		}
		if h.manifest >= 0 {
			one := &c.manifests[h.manifest]
			if field, text := w.inManifest(one); field != "" {
				if field == FieldDigest {
					text = one.digest.digest().String()
				}
				list = appendMatch(list, field, text)
				continue
			}
		}
		list = appendMatch(list, FieldRepository, h.entry.name)
	}
	return list
}

// appendMatch appends a part, unless it is there already.
func appendMatch(list []Match, field Field, text string) []Match {
	m := Match{field, cut(text)}
	if slices.Contains(list, m) {
		return list
	}
	return append(list, m)
}

// unix returns a time, or the zero Time for 0.
func unix(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
