package usage

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// A snapshot is the result of a count: rows in the order of compareRows, in pages at s/n/<ID>/<number>,
// which never change. The root, s/root, names the current snapshot and the last row of each page. So a
// question about a prefix reads the root and a page.
const (
	rootKey     = prefix + "root"
	pagesPrefix = prefix + "n/"
	// maxPage is the maximum size of a page in bytes, unless a row is larger.
	maxPage = 256 << 10
	// keepPages is how long the pages of earlier snapshots are kept, for readers that have read the
	// root, and for other counts whose root is not written yet.
	keepPages = 10 * time.Minute
)

// root is the content of the root.
type root struct {
	Snapshot string    `json:"snapshot"`
	Counted  time.Time `json:"counted"` // when the count began
	Rows     int       `json:"rows"`
	// Last is the prefix of the last row of each page.
	Last []string `json:"last"`
}

// pageHeader is the first line of a page.
type pageHeader struct {
	header
	Snapshot string `json:"snapshot"`
	Page     int    `json:"page"`
}

func pageKey(snapshot string, page int) string {
	return fmt.Sprintf("%s%s/%06x", pagesPrefix, snapshot, page)
}

// readRoot returns the root and its version. Without a root, or with a damaged one, the root is nil.
//
// Errors: any error of the driver.
func (m *Meter) readRoot(ctx context.Context, c *call) (*root, string, error) {
	content, version, err := m.read(ctx, rootKey, &header{}, c)
	if err != nil || content == nil {
		return nil, version, err
	}
	r := &root{}
	if json.Unmarshal(content, r) != nil || len(r.Last) == 0 || !driver.ValidKey(pageKey(r.Snapshot, 0)) {
		return nil, version, nil
	}
	return r, version, nil
}

// page returns the number of the first page that has a row of this prefix or after it. It is the number of
// pages if there is none.
func (r *root) page(prefix string) int {
	i, _ := slices.BinarySearchFunc(r.Last, prefix, compareRows)
	return i
}

// errGone is returned when a page is absent or damaged: the snapshot was replaced and removed, or the
// object was deleted.
var errGone = errors.New("usage: a page of the snapshot is missing")

// rows yields the rows of one page.
//
// Errors: errGone; any error of the driver.
func (m *Meter) rows(ctx context.Context, r *root, page int, c *call) iter.Seq2[*row, error] {
	return func(yield func(*row, error) bool) {
		var head pageHeader
		content, _, err := m.read(ctx, pageKey(r.Snapshot, page), &head, c)
		if err == nil && (content == nil || head.Snapshot != r.Snapshot || head.Page != page) {
			err = errGone
		}
		d := decoder{rest: string(content)}
		for err == nil && d.rest != "" {
			row := d.row()
			if d.bad {
				err = errGone
			} else if !yield(row, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// writer writes the pages of a snapshot.
type writer struct {
	meter *Meter
	call  *call
	root  root
	page  []byte
	last  string // prefix of the last row of page
	keys  []string
}

// newWriter returns a writer of a new snapshot.
func (m *Meter) newWriter(counted time.Time, c *call) *writer {
	// The time is for people. The random part makes the name unique.
	id := fmt.Sprintf("%s.%s", counted.UTC().Format("20060102T150405"), strings.ToLower(rand.Text()[:16]))
	return &writer{meter: m, call: c, root: root{Snapshot: id, Counted: counted}}
}

// add adds a row. Rows come in the order of compareRows.
//
// Errors: any error of the driver.
func (w *writer) add(ctx context.Context, r *row) error {
	before := len(w.page)
	page := appendRow(w.page, r)
	if before > 0 && int64(len(page)) > w.meter.pageSize {
		w.page = page[:before]
		if err := w.flush(ctx); err != nil {
			return err
		}
		page = append(page[:0], page[before:]...)
	}
	w.page, w.last = page, r.prefix
	w.root.Rows++
	return nil
}

func (w *writer) flush(ctx context.Context) error {
	head := pageHeader{Snapshot: w.root.Snapshot, Page: len(w.root.Last)}
	key := pageKey(head.Snapshot, head.Page)
	// The name is unique. So if there is such an object, a response to this write was lost.
	err := w.meter.write(ctx, key, "", &head, w.page, w.call)
	if err != nil && !driver.IsConflict(err) {
		return wrap("writing a snapshot", err)
	}
	w.keys, w.root.Last = append(w.keys, key), append(w.root.Last, w.last)
	w.page = w.page[:0]
	return nil
}

// publish makes the snapshot the current one, if the root still has the version that was read when the
// count began. If another count has come first, publish reports that, and removes the pages.
//
// Errors: any error of the driver. The pages then stay for the next count to remove: the root may name
// them.
func (w *writer) publish(ctx context.Context, version string) (published bool, err error) {
	if err := w.flush(ctx); err != nil {
		return false, err
	}
	if err := w.call.request(ctx); err != nil {
		return false, err
	}
	if err := w.meter.driver.Sync(ctx, w.keys...); err != nil {
		return false, wrap("writing a snapshot", err)
	}
	content, err := json.Marshal(&w.root)
	if err != nil {
		return false, err
	}
	err = w.meter.write(ctx, rootKey, version, &header{}, content, w.call)
	if driver.IsConflict(err) {
		// A write whose response was lost conflicts with itself.
		now, _, err := w.meter.readRoot(ctx, w.call)
		if err != nil || now != nil && now.Snapshot == w.root.Snapshot {
			return err == nil, err
		}
		return false, w.meter.deleteKeys(ctx, w.keys, w.call)
	}
	if err == nil {
		err = w.meter.driver.Sync(ctx, rootKey)
	}
	if err != nil {
		return false, wrap("writing a snapshot", err)
	}
	return true, nil
}

// deleteKeys deletes objects. An object that is absent is not an error.
//
// Errors: any other error of the driver.
func (m *Meter) deleteKeys(ctx context.Context, keys []string, c *call) error {
	return c.each(len(keys), func(i int) error {
		if err := c.request(ctx); err != nil {
			return err
		}
		if err := m.driver.Delete(ctx, keys[i], ""); err != nil && !errors.Is(err, driver.ErrNotExist) {
			return wrap("removing an old object", err)
		}
		return nil
	})
}

// dropSnapshots removes the pages of snapshots other than the current one that are older than it by more
// than keepPages, by the clock of the storage.
//
// Errors: any error of the driver.
func (m *Meter) dropSnapshots(ctx context.Context, current string, c *call) error {
	type snapshot struct {
		last time.Time
		keys []string
	}
	all := map[string]*snapshot{}
	elements := int64(0)
	if err := c.request(ctx); err != nil {
		return err
	}
	for info, err := range m.driver.List(ctx, pagesPrefix, nil) {
		if err != nil {
			return wrap("listing", err)
		}
		if err := c.listed(ctx, elements); err != nil {
			return err
		}
		elements++
		id, _, _ := strings.Cut(info.Key[len(pagesPrefix):], "/")
		if all[id] == nil {
			all[id] = &snapshot{}
		}
		all[id].keys = append(all[id].keys, info.Key)
		if info.ModTime.After(all[id].last) {
			all[id].last = info.ModTime
		}
	}
	if all[current] == nil {
		return nil // another count has come since
	}
	var keys []string
	for id, s := range all {
		if id != current && all[current].last.Sub(s.last) > m.keepPages {
			keys = append(keys, s.keys...)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return -cmp.Compare(a, b) })
	return m.deleteKeys(ctx, keys, c)
}
