//go:build linux || darwin

package disk

import (
	"slices"
)

// minRadix is the number of entries from which on sortEntries is faster than slices.Sort.
const minRadix = 1000

// ranked is an entry, by its index, with the eight bytes after the common beginning of all entries.
type ranked struct {
	key   uint64
	index uint32
}

// sortEntries sorts like slices.Sort. It sorts large directories by eight bytes of each entry in
// linear time, and compares whole entries only where these bytes are equal: the entries of a large
// directory usually begin alike, so a comparison reads many equal bytes.
func sortEntries(entries []string) {
	if len(entries) < minRadix {
		slices.Sort(entries)
		return
	}
	common := commonPrefix(entries)
	order, other := make([]ranked, len(entries)), make([]ranked, len(entries))
	var differ uint64
	for i, e := range entries {
		order[i] = ranked{keyOf(e[common:]), uint32(i)} //nolint:gosec // a directory has fewer entries
		differ |= order[i].key ^ order[0].key
	}
	for shift := 0; shift < 64; shift += 8 {
		if byte(differ>>shift) != 0 {
			sortByByte(other, order, shift)
			order, other = other, order
		}
	}
	sorted := make([]string, len(entries))
	for i, r := range order {
		sorted[i] = entries[r.index]
	}
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && order[to].key == order[from].key {
			to++
		}
		if to-from > 1 {
			slices.Sort(sorted[from:to])
		}
		from = to
	}
	copy(entries, sorted)
}

// commonPrefix returns the number of bytes that all entries begin with.
func commonPrefix(entries []string) int {
	first := entries[0]
	n := len(first)
	for _, e := range entries {
		n = min(n, len(e))
		for e[:n] != first[:n] {
			n--
		}
	}
	return n
}

// keyOf returns the first eight bytes of a text as a number of the same order. Missing bytes are
// zero, which no entry has.
func keyOf(s string) (key uint64) {
	for i := range 8 {
		key <<= 8
		if i < len(s) {
			key |= uint64(s[i])
		}
	}
	return key
}

// sortByByte sorts by one byte of the keys, and keeps the order of equal ones.
func sortByByte(to, from []ranked, shift int) {
	var next [256]int
	for _, r := range from {
		next[byte(r.key>>shift)]++
	}
	at := 0
	for b, n := range next {
		next[b], at = at, at+n
	}
	for _, r := range from {
		b := byte(r.key >> shift)
		to[next[b]] = r
		next[b]++
	}
}
