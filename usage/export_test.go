package usage

import (
	"bytes"
	"time"
)

// KeptDays is the maximum number of days in a row.
const KeptDays = keptDays

// SetPartSize sets the maximum size of a part of a table, in bytes.
func (m *Meter) SetPartSize(n int64) { m.partSize = n }

// SetPageSize sets the maximum size of a page of a snapshot, in bytes.
func (m *Meter) SetPageSize(n int64) { m.pageSize = n }

// SetKeepPages sets how long pages of earlier snapshots are kept.
func (m *Meter) SetKeepPages(d time.Duration) { m.keepPages = d }

// SetClock sets the clock by which counts begin.
func (m *Meter) SetClock(now func() time.Time) { m.now = now }

// Content returns the content of an object after its first line.
func Content(object []byte) []byte {
	_, content, _ := bytes.Cut(object, []byte{'\n'})
	return content
}

// Rows reads the content of a page, and returns it as it would be written.
func Rows(content []byte) (again []byte, ok bool) {
	d := decoder{rest: string(content)}
	for d.rest != "" && !d.bad {
		if r := d.row(); !d.bad {
			again = appendRow(again, r)
		}
	}
	return again, !d.bad
}

// Entries reads n entries of blobs, and returns them as they would be written.
func Entries(content []byte, n int) (again []byte, ok bool) {
	d := decoder{rest: string(content)}
	for _, e := range d.entries(n, true) {
		again = appendEntry(again, &e, true)
		_ = unpack(e.key)
	}
	return again, !d.bad
}
