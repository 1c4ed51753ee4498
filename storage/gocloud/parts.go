package gocloud

import "fmt"

// Defaults of [Parts].
const (
	// DefaultPartSize is the value of Parts.Size if that is zero, in bytes.
	DefaultPartSize = 8 << 20
	// DefaultMaxParts is the value of Parts.Max if that is zero: S3 takes no more.
	DefaultMaxParts = 10_000
)

const (
	// minPartSize and maxPartSize are the bounds of Parts.Size, in bytes: S3 takes no smaller part,
	// Azure no larger block.
	minPartSize = 5 << 20
	maxPartSize = 4000 << 20
	// maxObjectSize bounds the size of an object that has parts, in bytes. S3 allows 5 TiB, others
	// a little less.
	maxObjectSize = 4 << 40
)

// Parts say how a Provider divides what it uploads. All parts of an object but the last have the
// same size, as Cloudflare R2 demands. The size never depends on the length that a client has
// declared, so the memory of an upload does not either.
type Parts struct {
	// Size is the size of a part, in bytes. What fits one part is stored with one request. A larger
	// upload holds one part in memory. 5 MiB to 4000 MiB. Default: DefaultPartSize.
	Size int64
	// Max is the maximum number of parts of an object. A blob that needs more of them goes on in a
	// further object; with the defaults that is every 78 GiB. 1 to 10,000; some stores that speak
	// S3 take 1,000 only. Default: DefaultMaxParts.
	Max int
}

func (p Parts) check() error {
	if p.Size != 0 && (p.Size < minPartSize || p.Size > maxPartSize) {
		return fmt.Errorf("gocloud: Options.Parts.Size is not between 5 MiB and 4000 MiB: %d", p.Size)
	}
	if p.Max < 0 || p.Max > DefaultMaxParts {
		return fmt.Errorf("gocloud: Options.Parts.Max is not between 1 and %d: %d", DefaultMaxParts, p.Max)
	}
	return nil
}

// PartSize returns Size, or its default.
func (p Parts) PartSize() int64 {
	if p.Size == 0 {
		return DefaultPartSize
	}
	return p.Size
}

// ObjectSize returns the maximum size of an object that has parts, in bytes.
func (p Parts) ObjectSize() int64 {
	most := int64(DefaultMaxParts)
	if p.Max != 0 {
		most = int64(p.Max)
	}
	return min(most*p.PartSize(), maxObjectSize)
}
