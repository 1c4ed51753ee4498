package interleave

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// objects returns the content of all objects, by key.
func (w *world) objects(ctx context.Context) (map[string][]byte, error) {
	all := map[string][]byte{}
	for info, err := range w.raw.List(ctx, "", nil) {
		if err != nil {
			return nil, err
		}
		r, _, err := w.raw.Open(ctx, info.Key, nil)
		if err != nil {
			return nil, err
		}
		if all[info.Key], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// stored has those fields of the records of the layout that the audit reads.
type stored struct {
	State      string
	Segments   []struct{ Name string }
	Descriptor struct{ Digest digest.Digest }
	Next       []json.RawMessage
}

// inventory is what is stored, with what its records say.
type inventory struct {
	all     map[string][]byte // by key
	records map[string]stored // by key
	named   map[string]bool   // data objects that a link names
	needed  map[string]bool   // links of blobs that a manifest names
	history bool              // the Stores keep a history
}

// inventory reads everything that is stored.
func (w *world) inventory(ctx context.Context) (*inventory, error) {
	all, err := w.objects(ctx)
	if err != nil {
		return nil, err
	}
	v := &inventory{all: all, records: map[string]stored{}, named: map[string]bool{}, needed: map[string]bool{},
		history: w.mode.history}
	for key, b := range all {
		parts := strings.Split(key, "/")
		if parts[0] != "r" {
			continue
		}
		var s stored
		head, _, _ := strings.Cut(string(b), "\n")
		if err := json.Unmarshal([]byte(head), &s); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		v.records[key] = s
		switch parts[2] {
		case "b":
			for _, seg := range s.Segments {
				v.named[seg.Name] = true
			}
		case "m":
			m := w.numberOf(digest.NewDigestFromEncoded(digest.Algorithm(parts[3]), parts[4]))
			for _, b := range w.mans[m].blobs {
				v.needed["r/"+parts[1]+"/b/"+pathOf(w.blobs[b].desc.Digest)] = true
			}
		}
	}
	return v, nil
}

// audit demands that every object has a purpose, and that the objects that must lead to it exist.
func (w *world) audit(ctx context.Context) error {
	v, err := w.inventory(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for key := range v.all {
		parts := strings.Split(key, "/")
		wrong := func(what string) { errs = append(errs, fmt.Errorf("%s %s", key, what)) }
		if parts[0] == "r" {
			v.auditRecord(key, parts, wrong)
		} else {
			v.auditObject(key, parts, wrong)
		}
	}
	return errors.Join(errs...)
}

// exists reports whether there is an object whose key has the parts given.
func (v *inventory) exists(parts ...string) bool { return v.all[strings.Join(parts, "/")] != nil }

// auditObject calls wrong if an object outside the repositories has no purpose.
func (v *inventory) auditObject(key string, parts []string, wrong func(what string)) {
	switch {
	case key == "layout" || parts[0] == "keys" || parts[0] == "h":
	case parts[0] == "data":
		if !v.named[parts[2]] {
			wrong("is named by no link")
		}
	case parts[0] == "dead":
		if !v.exists("data", parts[1], parts[2]) { // a mark remains as long as its data do
			wrong("marks data that do not exist")
		}
	case parts[0] == "b":
		if !v.exists("r", parts[4], "b", parts[1], parts[3]) {
			wrong("has no link")
		}
	case parts[0] == "c":
		// A repository may have nothing but what its history can restore. Then it needs no entry.
		if !slices.ContainsFunc(keysOf(v.all), func(k string) bool { return strings.HasPrefix(k, "r/"+parts[1]+"/") }) {
			wrong("is the catalog entry of an empty repository")
		}
	default:
		wrong("should not exist")
	}
}

// auditRecord calls wrong with each defect of an object of a repository.
func (v *inventory) auditRecord(key string, parts []string, wrong func(what string)) {
	rec := v.records[key]
	switch parts[2] {
	case "b":
		v.auditLink(key, rec, wrong)
	case "m":
		if rec.State != "ok" && rec.State != "deleting" {
			wrong("is " + rec.State)
		}
		if !v.exists("c", parts[1]) {
			wrong("is in a repository that is not in the catalog")
		}
	case "t":
		if !v.exists("r", parts[1], "m", pathOf(rec.Descriptor.Digest)) {
			wrong("leads to no manifest")
		}
		if len(rec.Next) > 0 {
			wrong("is still about to be moved")
		}
		if !v.exists("r", parts[1], "x", pathOf(rec.Descriptor.Digest), parts[3]) {
			wrong("has no back reference")
		}
	case "x":
		tag := v.records["r/"+parts[1]+"/t/"+parts[5]]
		of := v.records["r/"+parts[1]+"/m/"+parts[3]+"/"+parts[4]]
		// A back reference remains while its manifest is marked by a delete that died.
		if pathOf(tag.Descriptor.Digest) != parts[3]+"/"+parts[4] && of.State != "deleting" {
			wrong("belongs to a tag that points elsewhere")
		}
	case "f":
		if !v.exists("r", parts[1], "m", parts[5], parts[6]) {
			wrong("leads to no manifest")
		}
	}
}

// auditLink calls wrong with each defect of the link of a blob.
func (v *inventory) auditLink(key string, rec stored, wrong func(what string)) {
	if !v.needed[key] && !v.history {
		wrong("is needed by no manifest")
	}
	// A pending link remains while a manifest needs it that has lost the blob by a delete.
	if rec.State != "live" && rec.State != "hidden" && !(rec.State == "pending" && v.needed[key]) {
		wrong("is " + rec.State)
	}
	for _, seg := range rec.Segments {
		if !v.exists("data", seg.Name[:2], seg.Name) {
			wrong("names data that do not exist")
		}
	}
}

func keysOf(all map[string][]byte) []string {
	var keys []string
	for key := range all {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// auditEmpty demands that nothing is left of what was pushed.
func (w *world) auditEmpty(ctx context.Context) error {
	all, err := w.objects(ctx)
	if err != nil {
		return err
	}
	if left := keysOf(all); !slices.Equal(left, []string{"keys/upload", "layout"}) {
		return fmt.Errorf("everything was deleted and collected, but %q is left", left)
	}
	return nil
}
