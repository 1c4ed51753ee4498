package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// An object has records of one day (UTC). Its key is
//
//	l/<day>/<last>-<first>-<unique>
//
// where first and last are times of the day in milliseconds, with eight digits, between which all
// of its records are. So a query opens only objects that can matter. The key is never used again,
// and only one process writes it.
const (
	prefix    = "l/"
	dayFormat = "2006-01-02"
	// maxObject is the size at which records are divided among objects, in bytes.
	maxObject = 1 << 20
)

var errDamaged = errors.New("audit: damaged object")

// header is the first line of an object. The records follow, one a line, the newest first.
type header struct {
	Nonce string `json:"nonce"`
	Count int    `json:"count"`
	Sum   uint32 `json:"sum"` // CRC-32C of the lines
}

// object is what the key of an object and a list say about it.
type object struct {
	driver.Info
	unique      string
	first, last time.Time // all records are between these, inclusive
}

// parseKey reads a key. ok is false for a key that is not one of the log.
func parseKey(info driver.Info) (o object, ok bool) {
	day, name, ok := strings.Cut(strings.TrimPrefix(info.Key, prefix), "/")
	parts := strings.SplitN(name, "-", 3)
	if !ok || len(parts) != 3 {
		return o, false
	}
	start, err := time.Parse(dayFormat, day)
	last, errLast := strconv.ParseUint(parts[0], 10, 31)
	first, errFirst := strconv.ParseUint(parts[1], 10, 31)
	if err != nil || errLast != nil || errFirst != nil {
		return o, false
	}
	at := func(ms uint64) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) } //nolint:gosec // 31 bits
	return object{Info: info, unique: parts[2], first: at(first), last: at(last)}, true
}

// newKey returns a key for records between two times of one day.
func newKey(last, first time.Time) string {
	start := last.UTC().Truncate(24 * time.Hour)
	return fmt.Sprintf("%s%s/%08d-%08d-%s", prefix, day(last), (last.Sub(start) + time.Millisecond - 1).Milliseconds(),
		first.Sub(start).Milliseconds(), strings.ToLower(rand.Text()))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode returns the content of an object.
func encode(lines [][]byte) []byte {
	content := append(bytes.Join(lines, []byte{'\n'}), '\n')
	b, err := json.Marshal(header{Nonce: rand.Text(), Count: len(lines), Sum: crc32.Checksum(content, castagnoli)})
	if err != nil {
		panic(err) // a text and numbers
	}
	return append(append(b, '\n'), content...)
}

// decode returns the lines of an object.
//
// Errors: errDamaged.
func decode(b []byte) ([][]byte, error) {
	var h header
	line, content, _ := bytes.Cut(b, []byte{'\n'})
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if crc32.Checksum(content, castagnoli) != h.Sum {
		return nil, errDamaged
	}
	lines := bytes.Split(bytes.TrimSuffix(content, []byte{'\n'}), []byte{'\n'})
	if len(lines) != h.Count {
		return nil, errDamaged
	}
	return lines, nil
}

// entry is a stored record: its line, and what orders it among others. A merge keeps the line as it
// is, because a later version may have written it.
type entry struct {
	ID    string    `json:"id"`
	Time  time.Time `json:"time"`
	Count int64     `json:"count"`
	line  []byte
}

// record returns what orders the entry.
func (e *entry) record() *Record { return &Record{ID: e.ID, Time: e.Time, Count: e.Count} }

// entries returns complete records as they are stored.
func entries(records []Record) ([]entry, error) {
	all := make([]entry, len(records))
	for i, r := range records {
		line, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		all[i] = entry{r.ID, r.Time, r.Count, line}
	}
	return all, nil
}

// store writes entries, durably: an object for each day and MiB.
func (l *Log) store(ctx context.Context, all []entry) error {
	slices.SortFunc(all, func(a, b entry) int { return order(*a.record(), *b.record()) })
	for len(all) > 0 {
		lines, size := [][]byte(nil), 0
		for _, e := range all {
			size += len(e.line) + 1
			if len(lines) > 0 && (size > maxObject || day(e.Time) != day(all[0].Time)) {
				break
			}
			lines = append(lines, e.line)
		}
		b := encode(lines)
		key := newKey(all[0].Time, all[len(lines)-1].Time)
		if _, err := l.driver.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{Size: int64(len(b))}); err != nil {
			return err
		}
		all = all[len(lines):]
	}
	return nil
}

// day returns the day of a time.
func day(t time.Time) string { return t.UTC().Format(dayFormat) }

// order sorts records, the newest first.
func order(a, b Record) int {
	switch {
	case a.newer(&b):
		return -1
	case b.newer(&a):
		return 1
	}
	return 0
}

// read returns the lines of an object.
//
// Errors: errDamaged; driver.ErrNotExist; other errors of the driver.
func (l *Log) read(ctx context.Context, o object) ([][]byte, error) {
	r, info, err := l.driver.Open(ctx, o.Key, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, info.Size))
	if err != nil {
		return nil, err
	}
	return decode(b)
}

// list returns the objects of a day with records between two times, inclusive.
func (l *Log) list(ctx context.Context, day string, from, to time.Time) ([]object, error) {
	var found []object
	for info, err := range l.driver.List(ctx, prefix+day+"/", nil) {
		if err != nil {
			return nil, err
		}
		if o, ok := parseKey(info); ok && !o.last.Before(from) && !o.first.After(to) {
			found = append(found, o)
		}
	}
	return found, nil
}
