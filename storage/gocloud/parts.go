package gocloud

import "fmt"

// Defaults of [Parts].
const (
	// DefaultPartSize is the default of Parts.Size, in bytes.
	DefaultPartSize = 8 << 20
	// DefaultMaxParts is the default and the maximum of Parts.Max, which is the limit of S3.
	DefaultMaxParts = 10_000
)

const (
	// minPartSize and maxPartSize are the bounds of Parts.Size, in bytes. They are the limits of S3
	// and of Azure.
	minPartSize = 5 << 20
	maxPartSize = 4000 << 20
	// maxObjectSize is the maximum size of an object that has parts, in bytes. S3 allows 5 TiB,
	// other stores a little less.
	maxObjectSize = 4 << 40
)

// Parts is the size and number of the parts in which a Provider uploads an object. All parts of an
// object but the last have the same size, as Cloudflare R2 demands. The size does not depend on the
// length that a client declares, so neither does the memory of an upload.
type Parts struct {
	// Size is the size of a part, in bytes, from 5 MiB to 4000 MiB. A body that fits one part is
	// stored with one request. A larger upload holds one part in memory. Default: DefaultPartSize.
	Size int64
	// Max is the maximum number of parts of an object, from 1 to 10,000. Some stores that speak S3
	// allow only 1,000. A blob that needs more parts continues in a further object, with the
	// defaults every 78 GiB. Default: DefaultMaxParts.
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

// PartSize returns the size of a part, in bytes: Size or its default.
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
