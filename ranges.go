package registry

import (
	"math"
	"strconv"
	"strings"
)

const (
	// maxRanges is the maximum number of ranges of a blob that one request may ask for in any
	// order. A request for more is answered with the whole blob.
	maxRanges = 16
	// maxAscendingRanges is the maximum number of ranges that ascend and do not overlap, as clients
	// send that fetch the missing parts of a layer (zstd:chunked). The parts together are never
	// larger than the blob, apart from some 200 bytes around each.
	maxAscendingRanges = 1024
)

// badRange is a Range header that http.ServeContent refuses.
const badRange = "bytes=x"

// usefulRange returns the Range header (RFC 9110, section 14.2) that stands for headers when asking
// for parts of size bytes: normalised; "" if it is to be ignored, because there is none, its unit
// is unknown, or it asks for more than the whole; or one that cannot be satisfied, if it cannot be,
// or is malformed.
func usefulRange(headers []string, size int64) string {
	if len(headers) == 0 {
		return ""
	}
	unit, set, ok := strings.Cut(headers[0], "=")
	switch {
	case len(headers) > 1 || !ok:
		return badRange
	case !strings.EqualFold(strings.TrimSpace(unit), "bytes"):
		return ""
	}
	specs := strings.Split(set, ",")
	tooMany := len(specs) > maxAscendingRanges
	var out []string
	total, malformed := int64(0), false
	ascending, end := true, int64(-1)
	empty := 0
	for _, spec := range specs {
		if spec = strings.Trim(spec, " \t"); spec == "" { // RFC 9110, section 5.6.1.2
			empty++
			continue
		}
		first, last, ok := parseRangeSpec(spec, size)
		if !ok {
			malformed = true
			break
		}
		if first > last {
			continue // beyond the end
		}
		if last-first+1 > size-total {
			tooMany = true
			continue
		}
		total += last - first + 1
		ascending, end = ascending && first > end, last
		if len(out) < maxAscendingRanges {
			out = append(out, strconv.FormatInt(first, 10)+"-"+strconv.FormatInt(last, 10))
		}
	}
	switch {
	case malformed || empty == len(specs):
		return badRange
	case tooMany || len(out) > maxRanges && !ascending:
		return ""
	case len(out) == 0:
		// Of nothing, every part is the whole.
		if size == 0 {
			return ""
		}
		return badRange
	}
	return "bytes=" + strings.Join(out, ",")
}

// part is a part of a blob: the bytes from first up to end, without that.
type part struct{ first, end int64 }

// partsOf returns the parts that a header names which usefulRange has returned.
func partsOf(header string) []part {
	var parts []part
	for spec := range strings.SplitSeq(strings.TrimPrefix(header, "bytes="), ",") {
		from, to, _ := strings.Cut(spec, "-")
		first, ok := parseDigits(from)
		last, okLast := parseDigits(to)
		if ok && okLast {
			parts = append(parts, part{first, last + 1})
		}
	}
	return parts
}

// parseRangeSpec returns the first and last byte that one range of a Range header names, out of
// size; first > last if it names none.
func parseRangeSpec(spec string, size int64) (first, last int64, ok bool) {
	from, to, ok := strings.Cut(spec, "-")
	if !ok {
		return 0, 0, false
	}
	last = math.MaxInt64
	if to != "" {
		if last, ok = parseDigits(to); !ok {
			return 0, 0, false
		}
	}
	if from == "" { // the last so many bytes
		return max(size-last, 0), size - 1, to != ""
	}
	if first, ok = parseDigits(from); !ok || first > last {
		return 0, 0, false
	}
	return first, min(last, size-1), true
}

// parseContentRange returns the first and last byte of a chunk, from its Content-Range header:
// "<first>-<last>" by the distribution spec, section "Pushing a blob in chunks"; the form of RFC
// 9110, section 14.4, "bytes <first>-<last>/<size or *>", is understood, too.
func parseContentRange(header string) (first, last int64, ok bool) {
	from, to, size, ok := cutContentRange(header)
	if !ok {
		return 0, 0, false
	}
	first, ok1 := parseDigits(from)
	last, ok2 := parseDigits(to)
	if !ok1 || !ok2 || first > last || last >= size {
		return 0, 0, false
	}
	return first, last, true
}

// parseEmptyContentRange returns where a chunk of no bytes is, from its Content-Range header.
// Clients that compute the last byte from the length write "5-4" after five bytes, and "0--1" at
// the beginning.
func parseEmptyContentRange(header string) (first int64, ok bool) {
	from, to, size, ok := cutContentRange(header)
	if !ok {
		return 0, false
	}
	first, ok = parseDigits(from)
	if !ok || first > size || to != strconv.FormatInt(first-1, 10) {
		return 0, false
	}
	return first, true
}

// cutContentRange returns the parts of a Content-Range header; size is math.MaxInt64 if it is not
// stated.
func cutContentRange(header string) (from, to string, size int64, ok bool) {
	size = math.MaxInt64
	s, isRFC := strings.CutPrefix(header, "bytes ")
	if before, after, found := strings.Cut(s, "/"); isRFC && found {
		s = before
		if after != "*" {
			if size, ok = parseDigits(after); !ok {
				return "", "", 0, false
			}
		}
	}
	from, to, ok = strings.Cut(s, "-")
	return from, to, size, ok
}
