package gocloud

import (
	"errors"
	"math"
)

// DefaultPartSize is the value of Parts.First if that is zero, in bytes.
const DefaultPartSize = 8 << 20

const (
	// maxParts is how many parts an object may have, at the store that allows the fewest (S3).
	maxParts = 10_000
	// minPart and maxPartSize are the sizes that the first part has at least and at most, in bytes, at the store that allows the least (S3).
	minPart     = 5 << 20
	maxPartSize = 5 << 30
	// maxObject is the size of the largest object we care for, in bytes.
	maxObject = 5 << 40
	// step is after how many parts their size doubles.
	step = 1000
)

// Parts are the sizes of the parts in which an object is uploaded whose length is not known. What has been written decides how large
// the next part is: an upload that holds n parts in memory takes n times First, or about n thousandths of what has been written if that is more.
type Parts struct {
	// First is the size of the first 1000 parts, in bytes; they double every 1000 parts. 5 MiB to 5 GiB. Default: DefaultPartSize.
	First int64
	// Max is the size that no part exceeds, in bytes. It bounds memory, and with it the size of an object: 10,000 parts are all there can
	// be. Default: none, and then an object may have 5 TiB.
	Max int64
}

func (p Parts) check() error {
	if first := p.first(); first < minPart || first > maxPartSize {
		return errors.New("gocloud: Options.Parts.First is not between 5 MiB and 5 GiB")
	}
	if p.Max != 0 && p.Max < p.first() {
		return errors.New("gocloud: Options.Parts.Max is less than First")
	}
	return nil
}

func (p Parts) first() int64 {
	if p.First == 0 {
		return DefaultPartSize
	}
	return p.First
}

// Size returns the size of a part, counted from 0, of an object that is expected to have hint bytes; 0 means not known. The hint may be
// wrong: whatever it is, parts go on to grow.
func (p Parts) Size(number int, hint int64) int64 {
	size := p.first()
	if hint > 0 { // as if all were written in the first half of the parts
		size = max(size, min(hint, maxObject)/(maxParts/2)+1)
	}
	if doublings := max(number, 0) / step; size <= math.MaxInt64>>doublings>>1 {
		size <<= doublings
	}
	if p.Max > 0 {
		size = min(size, p.Max)
	}
	return size
}
