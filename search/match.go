package search

import (
	"context"
	"slices"
	"strings"

	"github.com/registrykit/registry/image"
)

// hit is a repository, account, tag or image that matches. tag and manifest are indexes in the content
// of the repository, or -1. The tag of an image is one that the viewer may see.
type hit struct {
	kind          Kind
	entry         *entry
	tag, manifest int
	rank          int
	order         int // of the kind
}

// pushed returns when the tag or image was pushed, or 0.
func (h *hit) pushed() int64 {
	switch h.kind {
	case Tag:
		return h.entry.content.tags[h.tag].set
	case Image:
		return h.entry.content.manifests[h.manifest].time
	}
	return 0
}

// choose reports whether the viewer may see the tag of the hit. It chooses the tag of an image: the one
// that was set last of those that the viewer may see, if there are at most maxTagsOfImage.
//
// Errors: those of v.
func (h *hit) choose(ctx context.Context, v *Viewer) (bool, error) {
	sees := func(i int) (bool, error) {
		if v.Tag == nil {
			return true, nil
		}
		return v.Tag(ctx, h.entry.name, h.entry.content.tags[i].name)
	}
	switch h.kind {
	case Tag:
		return sees(h.tag)
	case Image:
		for _, i := range h.entry.content.tagsOf(h.entry.content.manifests[h.manifest].digest) {
			ok, err := sees(i)
			if err != nil {
				return false, err
			}
			if ok {
				h.tag = i
				break
			}
		}
	}
	return true, nil
}

// maxTagsOfImage is the maximum number of tags of an image of which one is chosen.
const maxTagsOfImage = 16

// tagsOf returns the indexes of the tags of a manifest, the one that was set last first.
func (c *content) tagsOf(d packed) []int {
	var found []int
	for i := range c.tags {
		if c.tags[i].at == d {
			found = append(found, i)
		}
	}
	slices.SortStableFunc(found, func(a, b int) int { return int(c.tags[b].set - c.tags[a].set) })
	return found[:min(len(found), maxTagsOfImage)]
}

// mask has a bit for each word of a query.
type mask uint32

// matcher finds what matches the words of a query.
type matcher struct {
	words []word
	kind  Kind // of the results, or "" for all
	whole mask // of all words
	// own are the words that are looked for only in tags and images. tagged are those that are looked
	// for only in tags.
	own, tagged mask
	hits        hits
	count       map[Kind]int // of hits

	manifests []mask // of the present repository
}

// newMatcher returns a matcher of results of a kind.
func newMatcher(words []word, kind Kind) *matcher {
	m := &matcher{words: words, kind: kind, whole: 1<<len(words) - 1, count: map[Kind]int{}}
	for i := range words {
		switch words[i].field {
		case "", FieldRepository:
		case FieldTag:
			m.tagged |= 1 << i
			fallthrough
		default:
			m.own |= 1 << i
		}
	}
	return m
}

// add adds a hit.
func (m *matcher) add(h hit) {
	h.order = slices.Index(kinds, h.kind)
	m.count[h.kind]++
	m.hits = append(m.hits, h)
}

// wants reports whether results of a kind are looked for.
func (m *matcher) wants(kind Kind) bool { return m.kind == "" || m.kind == kind }

// match adds the hits of an entry.
func (m *matcher) match(e *entry) {
	named, ranks := m.named(e)
	if m.wants(e.kind) {
		if rank, ok := m.rank(e, named, ranks); ok {
			m.add(hit{kind: e.kind, entry: e, tag: -1, manifest: -1, rank: rank})
		}
	}
	if e.content == nil || !m.wants(Tag) && !m.wants(Image) {
		return
	}
	m.matchManifests(e.content, named)
	if m.wants(Tag) {
		m.matchTags(e, named)
	}
	if !m.wants(Image) || m.tagged != 0 {
		return
	}
	for i, own := range m.manifests {
		if own != 0 && own|named == m.whole {
			m.add(hit{kind: Image, entry: e, tag: -1, manifest: i, rank: imageRank})
		}
	}
}

// The ranks of results that do not match by their name.
const (
	tagRank   = 1 // and more
	imageRank = 2 * contains
)

// named returns the words that are in the name of an entry, and their ranks.
func (m *matcher) named(e *entry) (in mask, ranks [maxWords]int8) {
	for i := range m.words {
		w := &m.words[i]
		ranks[i] = noMatch
		if !w.in(FieldRepository) || w.field != "" && e.kind != Repository {
			continue
		}
		if r := w.rank(e.name); r != noMatch {
			in |= 1 << i
			ranks[i] = int8(r)
		}
	}
	return in, ranks
}

// rank returns how well an entry matches all words by its name and description; the least is the best.
// ok is false if a word does not match.
func (m *matcher) rank(e *entry, named mask, ranks [maxWords]int8) (rank int, ok bool) {
	if m.own != 0 {
		return 0, false
	}
	for i := range m.words {
		if named&(1<<i) != 0 {
			rank += int(ranks[i])
			continue
		}
		if m.words[i].field != "" {
			return 0, false
		}
		r := m.words[i].rank(e.text)
		if r == noMatch {
			return 0, false
		}
		rank += max(r, beginsWord) + contains // behind every name
	}
	return rank, true
}

// matchManifests finds the words that are in each manifest. Words that are in the name of the repository
// are looked for only if the manifest has all others. If all words are in the name, the repository itself is
// the result, unless only images are wanted.
func (m *matcher) matchManifests(c *content, named mask) {
	m.manifests = slices.Grow(m.manifests[:0], len(c.manifests))[:len(c.manifests)]
	clear(m.manifests)
	if named == m.whole && m.kind != Image {
		return
	}
	for i := range c.manifests {
		in := m.inManifest(&c.manifests[i], m.whole&^named)
		if in|named == m.whole && in == 0 {
			in = m.inManifest(&c.manifests[i], named)
		}
		m.manifests[i] = in
	}
}

// inManifest returns which of some words are in a manifest.
func (m *matcher) inManifest(one *manifest, some mask) (in mask) {
	for j := range m.words {
		if some&(1<<j) == 0 {
			continue
		}
		if field, _ := m.words[j].inManifest(one); field != "" {
			in |= 1 << j
		}
	}
	return in
}

// inManifest returns the field of a manifest that the word is in, with its text, or "".
func (w *word) inManifest(one *manifest) (Field, string) {
	if w.field == FieldRepository || w.field == FieldTag {
		return "", ""
	}
	f := one.facts
	if f == nil {
		return "", ""
	}
	if w.inDigest(one.digest) {
		return FieldDigest, ""
	}
	if w.inType(f) {
		return FieldType, f.artifactType
	}
	if w.in(FieldPlatform) {
		if p := w.platform(f.platforms); p != "" {
			return FieldPlatform, p
		}
	}
	if w.in(FieldLabel) {
		if from, to, ok := w.label(f.folded); ok {
			return FieldLabel, original(f, from, to)
		}
	}
	return "", ""
}

// platform returns the first platform that the word is, or that it is whole components of, or "".
func (w *word) platform(platforms []string) string {
	for _, p := range platforms {
		if w.glob != nil {
			if matches(w.glob, p) {
				return p
			}
			continue
		}
		i := strings.Index(p, w.text)
		if end := i + len(w.text); i >= 0 && (i == 0 || p[i-1] == '/') && (end == len(p) || p[end] == '/') {
			return p
		}
	}
	return ""
}

// inType reports whether the word is in the type of a manifest. Every image has the same type, and most
// types have words in common. So a word without a field matches only types of other artifacts, and only
// at the beginning of a word of it.
func (w *word) inType(f *facts) bool {
	switch {
	case !w.in(FieldType):
		return false
	case w.field == FieldType:
		return f.kind != "" && w.text == string(f.kind) || w.rank(strings.ToLower(f.artifactType)) != noMatch
	case f.kind != image.KindArtifact || len(w.text) < minType:
		return false
	}
	_, name, _ := strings.Cut(strings.ToLower(f.artifactType), "/")
	return w.rank(strings.TrimPrefix(name, "vnd.")) <= beginsWord
}

// minType is the minimum length of a word without a field that is looked for in types.
const minType = 3

// label returns the beginning and the end of the first label that the word matches. Many labels have the
// same keys, so a word without a field and without "=" matches only in values.
func (w *word) label(lines string) (from, to int, ok bool) {
	if w.glob == nil && !strings.Contains(lines, w.text) {
		return 0, 0, false
	}
	whole := w.field != "" || strings.Contains(w.text, "=")
	for line := range strings.Lines(lines) {
		at := 0
		if !whole {
			at = strings.IndexByte(line, '=') + 1
		}
		if line = strings.TrimSuffix(line, "\n"); w.rank(line[at:]) != noMatch {
			return from, from + len(line), true
		}
		from += len(line) + 1
	}
	return 0, 0, false
}

// original returns a line of the labels of which from and to are the place in lower case. The lengths of
// some letters differ between upper and lower case; then the line is returned in lower case.
func original(f *facts, from, to int) string {
	if len(f.labels) == len(f.folded) && strings.EqualFold(f.labels[from:to], f.folded[from:to]) {
		return f.labels[from:to]
	}
	return f.folded[from:to]
}

// matchTags adds the tags that match all words.
func (m *matcher) matchTags(e *entry, named mask) {
	c := e.content
	var at int // of the manifest of the tag
	for i := range c.tags {
		t := &c.tags[i]
		known := named
		if at = c.index(t.at); at >= 0 {
			known |= m.manifests[at]
		}
		in, rank := mask(0), 0
		for j := range m.words {
			w := &m.words[j]
			if !w.in(FieldTag) {
				continue
			}
			if r := w.rank(strings.ToLower(t.name)); r != noMatch {
				in |= 1 << j
				rank += r
			}
		}
		if in != 0 && known|in == m.whole {
			m.add(hit{kind: Tag, entry: e, tag: i, manifest: at, rank: tagRank + rank})
		}
	}
}
