package memory

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/registrykit/registry/storage/driver"
)

const (
	firstBuffer = 512       // bytes, for a body of unknown size
	maxHint     = 256 << 10 // bytes; a hint may be wrong, so it reserves no more
)

var errTooLarge = errors.New("larger than Options.MaxObjectSize")

// read returns the bytes of body. It reserves them as they arrive, so that all bodies that are
// being read at the same time stay within Options.MaxBytes together. The caller must release the
// returned bytes if it does not keep them, even if read returns an error.
func (d *Driver) read(ctx context.Context, body io.Reader, hint int64) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	size := int64(firstBuffer)
	if hint > 0 {
		size = min(hint, maxHint) + 1 // one more, so that the end is seen without growing
	}
	data := make([]byte, 0, size)
	for {
		if err := ctx.Err(); err != nil {
			return data, err
		}
		if len(data) == cap(data) {
			data = slices.Grow(data, len(data))
		}
		n, err := body.Read(data[len(data):cap(data)])
		if n > 0 {
			if !d.reserve(int64(n)) {
				return data, driver.ErrNoSpace
			}
			data = data[:len(data)+n]
			if d.maxObject > 0 && int64(len(data)) > d.maxObject {
				return data, errTooLarge
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return data, err
		}
	}
	if cap(data)-len(data) > len(data)/8+64 { // growing has left too many unused bytes
		data = append(make([]byte, 0, len(data)), data...)
	}
	return data, nil
}

func (d *Driver) reserve(n int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.max > 0 && d.used+n > d.max {
		return false
	}
	d.used += n
	return true
}

func (d *Driver) release(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used -= n
}
