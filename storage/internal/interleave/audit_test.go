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

// objects are all objects with their content.
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

// stored is what the records of the layout have in common, as far as it is looked at.
type stored struct {
	State      string
	Segments   []struct{ Name string }
	Descriptor struct{ Digest digest.Digest }
	Next       []json.RawMessage
}

// audit demands that nothing superfluous is stored: everything is named by what it is for, and what
// must lead to it does.
func (w *world) audit(ctx context.Context) error {
	all, err := w.objects(ctx)
	if err != nil {
		return err
	}
	there := func(parts ...string) bool { return all[strings.Join(parts, "/")] != nil }
	named := map[string]bool{} // data
	needed := map[string]bool{}
	records := map[string]stored{}
	for key, b := range all {
		parts := strings.Split(key, "/")
		if parts[0] != "r" {
			continue
		}
		var s stored
		head, _, _ := strings.Cut(string(b), "\n")
		if err := json.Unmarshal([]byte(head), &s); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		records[key] = s
		switch parts[2] {
		case "b":
			for _, seg := range s.Segments {
				named[seg.Name] = true
			}
		case "m":
			m := w.numberOf(digest.NewDigestFromEncoded(digest.Algorithm(parts[3]), parts[4]))
			for _, b := range w.mans[m].blobs {
				needed["r/"+parts[1]+"/b/"+pathOf(w.blobs[b].desc.Digest)] = true
			}
		}
	}
	var errs []error
	wrong := func(key, what string) { errs = append(errs, fmt.Errorf("%s %s", key, what)) }
	for key := range all {
		parts := strings.Split(key, "/")
		switch rec := records[key]; {
		case key == "layout" || parts[0] == "keys" || parts[0] == "h":
		case parts[0] == "data":
			if !named[parts[2]] {
				wrong(key, "is named by no link")
			}
		case parts[0] == "dead":
			if !there("data", parts[1], parts[2]) { // as long as the data are there it is never taken back
				wrong(key, "marks data that are gone")
			}
		case parts[0] == "b":
			if !there("r", parts[4], "b", parts[1], parts[3]) {
				wrong(key, "has no link")
			}
		case parts[0] == "c":
			// What history can bring back may be all that a repository has, and needs it not.
			if !slices.ContainsFunc(keysOf(all), func(k string) bool { return strings.HasPrefix(k, "r/"+parts[1]+"/") }) {
				wrong(key, "is of an empty repository")
			}
		case parts[0] != "r":
			wrong(key, "should be gone")
		case parts[2] == "b":
			if !needed[key] && !w.mode.history {
				wrong(key, "is needed by no manifest")
			}
			// One that is pending stays while a manifest needs it that has lost the blob by a
			// delete.
			if rec.State != "live" && rec.State != "hidden" && !(rec.State == "pending" && needed[key]) {
				wrong(key, "is "+rec.State)
			}
			for _, seg := range rec.Segments {
				if !there("data", seg.Name[:2], seg.Name) {
					wrong(key, "names data that are gone")
				}
			}
		case parts[2] == "m":
			if rec.State != "ok" && rec.State != "deleting" {
				wrong(key, "is "+rec.State)
			}
			if !there("c", parts[1]) {
				wrong(key, "is in a repository that is not in the catalogue")
			}
		case parts[2] == "t":
			if !there("r", parts[1], "m", pathOf(rec.Descriptor.Digest)) {
				wrong(key, "leads to no manifest")
			}
			if len(rec.Next) > 0 {
				wrong(key, "is still about to be moved")
			}
			if !there("r", parts[1], "x", pathOf(rec.Descriptor.Digest), parts[3]) {
				wrong(key, "has no back reference")
			}
		case parts[2] == "x":
			tag := records["r/"+parts[1]+"/t/"+parts[5]]
			of := records["r/"+parts[1]+"/m/"+parts[3]+"/"+parts[4]]
			// It remains as long as its manifest is marked, by a delete that died.
			if pathOf(tag.Descriptor.Digest) != parts[3]+"/"+parts[4] && of.State != "deleting" {
				wrong(key, "is of a tag that points elsewhere")
			}
		case parts[2] == "f":
			if !there("r", parts[1], "m", parts[5], parts[6]) {
				wrong(key, "leads to no manifest")
			}
		}
	}
	return errors.Join(errs...)
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
		return fmt.Errorf("all was deleted and collected, and there is left %q", left)
	}
	return nil
}
