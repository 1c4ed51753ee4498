package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/objectkey"
)

// prefixes are the kinds of keys that measure counts; see docs/layout.md. The keys below r/<R>/
// appear without the repository.
var prefixes = []string{"data/", "dead/", "u/", "r/b/", "r/m/", "r/t/", "r/x/", "r/f/", "b/", "c/", "h/"}

// space is the content of the storage.
type space struct {
	when     string
	keys     map[string]int // by prefix
	total    int
	bytes    int64
	data     int64 // the keys below data/
	raw      int   // files or objects
	rawBytes int64
}

// prefix returns the entry of prefixes for a key, or "".
func prefix(key string) string {
	parts := strings.SplitN(key, "/", 4)
	p := parts[0] + "/"
	if p == "r/" && len(parts) == 4 {
		p += parts[2] + "/"
	}
	if slices.Contains(prefixes, p) {
		return p
	}
	return ""
}

// measure lists the storage.
func (s *soaker) measure(ctx context.Context, when string) (keys map[string]int64, err error) {
	sp := space{when: when, keys: map[string]int{}}
	keys = map[string]int64{}
	for info, err := range s.place.driver.List(ctx, "", nil) {
		if err != nil {
			return nil, err
		}
		keys[info.Key] = info.Size
		sp.keys[prefix(info.Key)]++
		sp.total, sp.bytes = sp.total+1, sp.bytes+info.Size
		if strings.HasPrefix(info.Key, "data/") {
			sp.data += info.Size
		}
	}
	if sp.raw, sp.rawBytes, err = s.place.raw(ctx); err != nil {
		return nil, err
	}
	s.report.mu.Lock()
	defer s.report.mu.Unlock()
	s.report.spaces = append(s.report.spaces, sp)
	return keys, nil
}

// compare checks that the storage holds the images and nothing else.
func (s *soaker) compare(ctx context.Context, keys map[string]int64, images []*image) error {
	must, may := expected(images)
	for key := range keys {
		if prefix(key) != "r/b/" || !must[key] {
			continue
		}
		segments, err := s.segments(ctx, key)
		if err != nil {
			return err
		}
		for name, size := range segments {
			data := "data/" + name[:2] + "/" + name
			must[data] = true
			// If another push of the same data overtakes a collection, the mark of that collection
			// remains until the data are removed.
			mark := "dead" + strings.TrimPrefix(data, "data")
			if _, ok := keys[mark]; ok {
				may[mark] = true
				s.report.event("marks that remain on data in use", 1)
			}
			if keys[data] != size {
				s.report.fail(lost, fmt.Sprintf("%s has %d bytes and not %d, says %s", data, keys[data], size, key))
			}
		}
	}
	for key := range must {
		if _, ok := keys[key]; !ok {
			s.report.fail(lost, "key "+key+" is not there")
		}
	}
	var extra []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !must[key] && !may[key] && prefix(key) != "" {
			extra = append(extra, key)
		}
	}
	if len(extra) > 0 {
		s.report.fail(left, s.describe(ctx, extra))
	}
	return nil
}

// describe lists keys that nothing needs, with what happened to them. Manifests come first: they keep
// the other keys.
func (s *soaker) describe(ctx context.Context, keys []string) string {
	rank := func(key string) int {
		if prefix(key) == "r/m/" {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	message := fmt.Sprintf("%d keys that nothing needs, such as", len(keys))
	for _, key := range keys[:min(len(keys), 20)] {
		message += "\n  " + key + s.record(ctx, key)
		for _, line := range s.journal.last(lastDigest(key), 20) {
			message += "\n      " + line
		}
	}
	return message
}

// expected returns the keys that the images need, and the hints that may exist. It does not include
// the data of the layers, whose names are in the links.
func expected(images []*image) (must, may map[string]bool) {
	must, may = map[string]bool{}, map[string]bool{}
	for _, img := range images {
		r := "r/" + objectkey.Escape(img.repo) + "/"
		must["c/"+objectkey.Escape(img.repo)] = true
		must[r+"m/"+objectkey.DigestPath(img.digest())] = true
		for _, l := range img.layers {
			d := l.desc.Digest
			must[r+"b/"+objectkey.DigestPath(d)] = true
			may["b/"+string(d.Algorithm())+"/"+d.Encoded()[:2]+"/"+d.Encoded()+"/"+objectkey.Escape(img.repo)] = true
		}
		for _, t := range img.tags {
			must[r+"t/"+t] = true
			must[r+"x/"+objectkey.DigestPath(img.digest())+"/"+t] = true
		}
		if img.subject != nil {
			must[r+"f/"+objectkey.DigestPath(img.subject.digest())+"/"+objectkey.DigestPath(img.digest())] = true
		}
	}
	return must, may
}

// record returns the text of a manifest's record, for a message. It returns "" for other keys.
func (s *soaker) record(ctx context.Context, key string) string {
	if prefix(key) != "r/m/" {
		return ""
	}
	r, info, err := s.place.driver.Open(ctx, key, nil)
	if err != nil {
		return ": " + err.Error()
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, 1<<10))
	line, _, _ := strings.Cut(string(b), "\n")
	return fmt.Sprintf(", written at %s: %s %v", info.ModTime.Format(time.StampMicro), line, err)
}

// segments returns the names and sizes of the data that a link references.
func (s *soaker) segments(ctx context.Context, key string) (map[string]int64, error) {
	r, _, err := s.place.driver.Open(ctx, key, nil)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	r.Close()
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var link struct {
		State    string
		Segments []struct {
			Name string
			Size int64
		}
	}
	if err := json.Unmarshal([]byte(line), &link); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if link.State != "live" {
		s.report.fail(wrong, fmt.Sprintf("%s is %s", key, link.State))
	}
	named := map[string]int64{}
	for _, seg := range link.Segments {
		named[seg.Name] = seg.Size
	}
	return named, nil
}

// lastDigest returns the last hexadecimal digest in a key, or the key.
func lastDigest(key string) string {
	for _, part := range slices.Backward(strings.Split(key, "/")) {
		if len(part) == 64 {
			return part
		}
	}
	return key
}
