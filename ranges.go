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

// requestedParts returns the parts that a request asks for out of a blob of size bytes (RFC 9110,
// section 14.2). No parts mean the whole blob: the request has no Range, or one of another unit, or
// for another entity tag, or one that asks for more than the whole. ok is false if the Range is
// malformed or cannot be satisfied.
func (c *call) requestedParts(size int64) (parts []part, ok bool) {
	h := c.req.Header
	ranges := h["Range"]
	if len(ranges) == 0 || c.req.Method != http.MethodGet {
		return nil, true
	}
	if tag := h.Get("If-Range"); tag != "" && tag != etag(c.op.Ref.Digest) {
		return nil, true
	}
	return parseRanges(ranges, size)
}

// parseRanges returns the parts of size bytes that the Range headers of a request name, as
// requestedParts does.
func parseRanges(headers []string, size int64) (parts []part, ok bool) {
	unit, set, ok := strings.Cut(headers[0], "=")
	switch {
	case len(headers) > 1 || !ok:
		return nil, false
	case !strings.EqualFold(strings.TrimSpace(unit), "bytes"):
		return nil, true
	}
	count := strings.Count(set, ",") + 1
	tooMany := count > maxAscendingRanges
	parts = make([]part, 0, min(count, maxAscendingRanges))
	total, empty := int64(0), 0
	ascending, end := true, int64(0)
	for spec := range strings.SplitSeq(set, ",") {
		if spec = strings.Trim(spec, " \t"); spec == "" { // RFC 9110, section 5.6.1.2
			empty++
			continue
		}
		first, last, ok := parseRangeSpec(spec, size)
		if !ok {
			return nil, false
		}
		if first > last {
			continue // beyond the end
		}
		p := part{first, last + 1}
		if p.size() > size-total {
			tooMany = true
			continue
		}
		total += p.size()
		ascending, end = ascending && first >= end, p.end
		if len(parts) < maxAscendingRanges {
			parts = append(parts, p)
		}
	}
	switch {
	case empty == count:
		return nil, false
	case tooMany || len(parts) > maxRanges && !ascending:
		return nil, true
	case len(parts) == 0:
		return nil, size == 0 // every part of an empty blob is the whole blob
	}
	return parts, true
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

func (p part) size() int64 { return p.end - p.first }

// contentRange returns the Content-Range of the part of a blob of size bytes.
func (p part) contentRange(size int64) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = append(strconv.AppendInt(b, p.first, 10), '-')
	b = append(strconv.AppendInt(b, p.end-1, 10), '/')
	return string(strconv.AppendInt(b, size, 10))
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
