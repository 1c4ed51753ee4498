package registry

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	// maxRanges is the maximum number of ranges of a blob that one request may ask for in any
	// order. A request for more gets the whole blob.
	maxRanges = 16
	// maxAscendingRanges is the maximum number of ranges that ascend and do not overlap, as clients
	// send that fetch the missing parts of a layer (zstd:chunked). The parts together are never
	// larger than the blob, apart from some 200 bytes around each.
	maxAscendingRanges = 1024
)

// badRange is a Range header that http.ServeContent refuses.
const badRange = "bytes=x"

// usefulRange returns the Range header (RFC 9110, section 14.2) that stands for headers in a
// request for parts of size bytes. The result is normalised.
//
// It is "" if the headers are to be ignored: there are none, the unit is unknown, or they ask for
// more than the whole. It is badRange if the headers are malformed or cannot be satisfied.
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
		// Every part of an empty blob is the whole blob.
		if size == 0 {
			return ""
		}
		return badRange
	}
	return "bytes=" + strings.Join(out, ",")
}

// rangeHint returns the only part of a blob d that a GET asks for, as far as the header shows before
// the size of the blob is known. It is nil if the request asks for everything or several parts, or if
// its Range is malformed or will be ignored.
func rangeHint(h http.Header, d digest.Digest) *ByteRange {
	ranges, conditions := h["Range"], h["If-Range"]
	if len(ranges) != 1 || len(conditions) > 0 && conditions[0] != etag(d) {
		return nil
	}
	unit, spec, _ := strings.Cut(ranges[0], "=")
	spec = strings.Trim(spec, " \t")
	const size = math.MaxInt64
	first, last, ok := parseRangeSpec(spec, size)
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || first > last || last-first+1 == size {
		return nil
	}
	r := &ByteRange{First: first, Length: last - first + 1}
	switch {
	case spec[0] == '-':
		r.First = -1
	case last == size-1:
		r.Length = -1
	}
	return r
}

// part is a part of a blob: the bytes from first up to, but not including, end.
type part struct{ first, end int64 }

// partsOf returns the parts that a header from usefulRange names.
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

// parseRangeSpec returns the first and last byte that one range of a Range header selects out of
// size bytes. If first > last, the range selects none.
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
	if from == "" { // "-5" selects the last five bytes
		return max(size-last, 0), size - 1, to != ""
	}
	if first, ok = parseDigits(from); !ok || first > last {
		return 0, 0, false
	}
	return first, min(last, size-1), true
}

// parseContentRange returns the first and last byte of a chunk from its Content-Range header:
// "<first>-<last>" by the distribution spec, section "Pushing a blob in chunks". It also accepts
// the form of RFC 9110, section 14.4, "bytes <first>-<last>/<size or *>".
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

// parseEmptyContentRange returns the position of a chunk of no bytes from its Content-Range header.
// Clients that compute the last byte from the length send "5-4" after five bytes, and "0--1" at the
// beginning.
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

// cutContentRange returns the parts of a Content-Range header. size is math.MaxInt64 if the header
// does not state it.
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
