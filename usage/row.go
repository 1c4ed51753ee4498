package usage

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// row is what a snapshot has of one prefix.
type row struct {
	prefix     string
	repository bool    // there is a repository of this name
	figures    Figures // of the prefix
	own        Figures // of the repository alone
	children   int64   // number of prefixes directly below
	largest    []child // those with the largest Physical, in descending order
	days       []day   // one for each day, in ascending order; the last one need not be today
}

// child is a prefix directly below the prefix of a row.
type child struct {
	prefix     string
	repository bool
	children   int64
	figures    Figures
}

// day is the figures of one day in UTC: those of the last count that began on that day.
type day struct {
	at      int64 // when the count began, in seconds since 1970
	figures Figures
}

const (
	// historyDays is the number of days of which History reports.
	historyDays = 31
	// keptDays is the maximum number of days in a row. It is larger, so that a clock that is wrong for
	// some days does not push the others out.
	keptDays    = historyDays + 9
	secondsADay = 24 * 60 * 60
)

// compareRows orders rows by the prefix above theirs and then by the last component, so that the rows
// directly below a prefix follow each other.
func compareRows(a, b string) int {
	aboveA, baseA := split(a)
	aboveB, baseB := split(b)
	return cmp.Or(cmp.Compare(aboveA, aboveB), cmp.Compare(baseA, baseB))
}

// split returns the prefix above a prefix, and the last component. The row of "" is the first of all, and
// those of prefixes with one component follow.
func split(prefix string) (above, base string) {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return "", prefix
	}
	return prefix[:i], prefix[i+1:]
}

// withDay adds the figures of a count to days, which are in ascending order. Figures of the same day are
// replaced.
//
// If there are too many days, the one that is most distant from this one goes. A clock that was ahead
// once leaves a day in the future. It does no harm: reports leave it out, and it goes first.
func withDay(days []day, at int64, f Figures) []day {
	number := func(d day) int64 { return d.at / secondsADay }
	now := day{at, f}
	i, found := slices.BinarySearchFunc(days, number(now), func(d day, n int64) int { return cmp.Compare(number(d), n) })
	if found {
		days[i] = now
		return days
	}
	days = slices.Insert(days, i, now)
	if len(days) <= keptDays {
		return days
	}
	if n := len(days) - 1; number(days[n])-number(now) > number(now)-number(days[0]) {
		return days[:n]
	}
	return days[1:]
}

// report returns the row as a Report of a count.
func (r *row) report(counted time.Time) Report {
	return Report{
		Prefix: r.prefix, Repository: r.repository, Children: r.children, Figures: r.figures, Own: r.own, Counted: counted,
	}
}

// The bits of the flags of a row and of a child.
const flagRepository = 1

// appendRow adds the binary form of a row.
func appendRow(b []byte, r *row) []byte {
	b = appendString(b, r.prefix)
	b = appendFlags(b, r.repository)
	b = appendFigures(b, &r.figures, nil)
	b = appendFigures(b, &r.own, &r.figures)
	b = binary.AppendUvarint(b, uint64(r.children))
	b = binary.AppendUvarint(b, uint64(len(r.largest)))
	for i := range r.largest {
		c := &r.largest[i]
		_, base := split(c.prefix)
		b = appendString(b, base)
		b = appendFlags(b, c.repository)
		b = binary.AppendUvarint(b, uint64(c.children))
		b = appendFigures(b, &c.figures, nil)
	}
	b = binary.AppendUvarint(b, uint64(len(r.days)))
	last := day{0, r.figures}
	for i := range r.days {
		d := &r.days[i]
		b = binary.AppendVarint(b, d.at-last.at)
		b = appendFigures(b, &d.figures, &last.figures)
		last = *d
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendFlags(b []byte, repository bool) []byte {
	if repository {
		return append(b, flagRepository)
	}
	return append(b, 0)
}

// appendFigures adds the difference of figures to earlier ones, of which nil means zero: a zero byte if
// there is none, and otherwise a one and the difference of each field.
func appendFigures(b []byte, f, to *Figures) []byte {
	if to == nil {
		to = &Figures{}
	}
	if *f == *to {
		return append(b, 0)
	}
	b = append(b, 1)
	then := to.fields()
	for i, v := range f.fields() {
		b = binary.AppendVarint(b, *v-*then[i])
	}
	return b
}

// row returns the next row.
func (d *decoder) row() *row {
	r := &row{prefix: d.string(), repository: d.byte()&flagRepository != 0}
	r.figures = d.figures(nil)
	r.own = d.figures(&r.figures)
	r.children = d.size()
	for range d.count() {
		base := d.string()
		c := child{prefix: join(r.prefix, base), repository: d.byte()&flagRepository != 0, children: d.size()}
		c.figures = d.figures(nil)
		r.largest = append(r.largest, c)
	}
	last := day{0, r.figures}
	for range d.count() {
		last.at += d.varint()
		last.figures = d.figures(&last.figures)
		r.days = append(r.days, last)
	}
	return r
}

// join returns the prefix of a child.
func join(prefix, base string) string {
	if prefix == "" {
		return base
	}
	return prefix + "/" + base
}

func (d *decoder) string() string { return strings.Clone(d.bytes(d.uvarint())) }

func (d *decoder) byte() byte {
	if s := d.bytes(1); s != "" {
		return s[0]
	}
	return 0
}

// count returns a number of things, each of which takes at least one byte.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.bad = true
	}
	if d.bad {
		return 0
	}
	return int(n)
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint([]byte(d.rest[:min(len(d.rest), binary.MaxVarintLen64)]))
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) figures(to *Figures) Figures {
	var f Figures
	if to != nil {
		f = *to
	}
	if d.byte() == 0 {
		return f
	}
	for _, v := range f.fields() {
		*v += d.varint()
	}
	return f
}
