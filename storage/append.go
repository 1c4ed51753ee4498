package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

const (
	// mergeSize is the size below which a segment may be merged with its neighbours, in bytes. So a
	// byte of a blob that comes in smaller pieces is written a logarithmic number of times.
	mergeSize = 4 << 20
	// maxSegments is about the maximum number of segments of a blob. In a blob with more, larger
	// segments are merged too. So blocks of mergeSize are written once in blobs of up to
	// maxSegments * mergeSize = 16 GiB, such as those that a mirror stores while they arrive.
	//
	// A segment takes 76 bytes in the record of the upload, which each append writes, and in the link
	// of the blob, which each pull reads. A blob of 10 GiB in blocks of 4 MiB has 2,560 segments: its
	// link has 195 KB, and its appends write 250 MB of records, 2.4 % of the blob. Merging segments
	// into 256 of 40 MiB would read and write the blob another three times.
	maxSegments = 4096
)

// Append implements [registry.Upload]. The bytes go into a data object of their own, or into the
// record if they are few.
func (u *upload) Append(ctx context.Context, offset, length int64, r io.Reader) (int64, error) {
	return u.add(ctx, offset, length, r, receiving)
}

// add adds bytes to the upload. If all announced bytes have come, it also changes the state of the
// upload to the state to, in the same write.
//
// Errors: registry.ErrUploadUnknown; registry.ErrRangeInvalid if the upload does not have the size
// offset; registry.ErrTooManyRequests; registry.ErrSizeInvalid if fewer bytes have come than
// announced; errCommitting; an error of r. What came before an error of r is kept.
func (u *upload) add(ctx context.Context, offset, length int64, r io.Reader, to uploadState) (int64, error) {
	if u.rec.State != receiving {
		return 0, registry.ErrUploadUnknown
	}
	if offset != u.rec.Size && u.assumed {
		if err := u.load(ctx); err != nil {
			return 0, err
		}
	}
	if offset != u.rec.Size || u.rec.State != receiving {
		return 0, registry.ErrRangeInvalid
	}
	if u.rec.version == "" {
		// CreateUpload has counted the upload, but perhaps in another process, or too long ago.
		if err := u.repo.store.admitUpload(ctx, u.owner, u.id.random); err != nil {
			return 0, err
		}
	}
	h, err := u.rec.restoreHash()
	if err != nil {
		return 0, err
	}
	// From here on, what was received is kept even if the caller goes away.
	ctx = context.WithoutCancel(ctx)
	in := &input{r: r, h: h, left: length}
	for stored := int64(0); ; stored = in.n {
		if err := u.addSegment(ctx, in, to); err != nil {
			return stored, err
		}
		if !in.ended() {
			continue // the segment is as large as an object can be
		}
		switch {
		case in.err != nil:
			return in.n, fmt.Errorf("storage: receiving a blob: %w", in.err)
		case !in.whole():
			return in.n, registry.ErrSizeInvalid
		}
		return in.n, nil
	}
}

// addSegment adds at most one segment to the upload, and changes the record. If the input has ended
// and all announced bytes have come, it changes the state to the state to. A client that sends the
// segments of a large blob one by one causes the same writes in the same order.
func (u *upload) addSegment(ctx context.Context, in *input, to uploadState) error {
	before := in.n
	got, err := u.receive(ctx, in)
	if err != nil {
		return err
	}
	next := got.record
	if in.ended() && in.whole() {
		next.State = to
	}
	if in.n == before && next.State == u.rec.State {
		return nil
	}
	if next.State == committing && u.rec.version == "" {
		return u.keepAlone(next, in.h)
	}
	if err := u.advance(ctx, next, in.h); err != nil {
		if u.isUnnamed(got.written, err) {
			u.repo.DropSegments(ctx, got.written)
		}
		if to == committing && u.rec.State == committing && u.names(got.written) {
			return errCommitting
		}
		return err
	}
	u.repo.DropSegments(ctx, got.absorbed)
	return nil
}

// keepAlone makes next, which has all bytes of a blob, the state of the upload in this request only. No
// other request knows of the bytes, so none can add to them or drop them, and a record that keeps others
// from that would be removed again at once. If the process dies, the client sends the bytes again, as it
// would if they had not all come. A record that another process has written in the meantime, be it that of
// a cancel, stays until it expires.
func (u *upload) keepAlone(next uploadRecord, h hash.Hash) (err error) {
	if next.Hash, err = hashState(h); err != nil {
		return err
	}
	u.rec, u.alone = next, true
	return nil
}

// isUnnamed reports whether nothing names the segments in written, after the write of the record
// that was to name them has failed with err. The write may have happened although it was refused:
// its response was lost, it was repeated, and other requests have continued the upload in between,
// or even committed it.
func (u *upload) isUnnamed(written []object.Segment, err error) bool {
	if errors.Is(err, registry.ErrRangeInvalid) && u.rec.version != "" {
		return !u.names(written)
	}
	return errors.Is(err, registry.ErrNoSpace)
}

// names reports whether the record names any of the segments in written.
func (u *upload) names(written []object.Segment) bool {
	return slices.ContainsFunc(u.rec.Segments, func(seg object.Segment) bool { return slices.Contains(written, seg) })
}

// errCommitting is returned if the last write of the record has happened, but its response was
// lost, and another request has begun to commit the upload before the write was repeated.
var errCommitting = errors.New("storage: another request is committing the upload")

// reception is what receive has made of a part of the input.
type reception struct {
	record   uploadRecord     // the record of the upload with the received bytes
	written  []object.Segment // the segment that holds them; empty if the record holds them itself
	absorbed []object.Segment // the segments whose bytes are in written now
}

// receive reads in up to its end, or until a segment is as large as an object can be.
//
// Errors: as putSegment.
func (u *upload) receive(ctx context.Context, in *input) (reception, error) {
	before := in.n
	head := heads.Get().(*[InlineSize]byte)
	defer heads.Put(head)
	n, err := io.ReadFull(in, head[:InlineSize-len(u.rec.tail)])
	if err != nil { // the input has ended, and all of it fits into the record
		next := u.rec
		next.tail = append(bytes.Clone(u.rec.tail), head[:n]...)
		next.Size += int64(n)
		return reception{record: next}, nil
	}
	keep := len(u.rec.Segments) - u.mergeable()
	absorbed := u.rec.Segments[keep:]
	seg, err := u.putSegment(ctx, in, absorbed, head[:n])
	if err != nil {
		return reception{}, err
	}
	next := u.rec
	next.Segments = append(slices.Clone(u.rec.Segments[:keep]), seg)
	next.tail = nil
	next.Size += in.n - before
	return reception{record: next, written: []object.Segment{seg}, absorbed: absorbed}, nil
}

// putSegment writes a segment of the bytes of absorbed, the tail of the record, head, and the rest
// of in, or as much as an object can hold.
//
// Errors: registry.ErrRangeInvalid if another request has changed the upload, and u is then as that
// request left it; registry.ErrUploadUnknown.
func (u *upload) putSegment(ctx context.Context, in *input, absorbed []object.Segment,
	head []byte) (object.Segment, error) {
	body := &concat{objects: u.repo.Store, ctx: ctx, segments: absorbed,
		rest: io.MultiReader(bytes.NewReader(u.rec.tail), bytes.NewReader(head), in)}
	defer body.close()
	hint := int64(0)
	if in.left > 0 {
		for _, a := range absorbed {
			hint += a.Size
		}
		hint += int64(len(u.rec.tail)) + int64(len(head)) + in.left
	}
	var from io.Reader = body
	if limit := u.repo.Driver.MaxObjectSize(); limit > 0 {
		from, hint = io.LimitReader(body, limit), min(hint, limit)
	}
	seg := object.Segment{Name: u.segmentName()}
	// No other request uses this name, so the write needs no condition. A driver that repeats the
	// write after a lost response writes the same bytes.
	info, err := u.repo.Driver.Put(ctx, object.DataKey(seg.Name), from,
		&driver.PutOptions{Durability: driver.Relaxed, Size: hint})
	if errors.Is(err, driver.ErrNotExist) {
		// Another request was first, and has merged the segments that this one was about to absorb.
		if err := u.load(ctx); err != nil {
			return seg, err
		}
		return seg, registry.ErrRangeInvalid.WithCause(err)
	}
	seg.Size = info.Size
	return seg, object.RegistryError(err)
}

// mergeable returns how many of the last segments the next segment absorbs: those that are small,
// and not much larger than what comes after them. So a byte is written again only as often as the
// size of its segment doubles.
//
// Together they never have more than half of the maximum size of an object. So there is room for
// new bytes, and segments of the maximum size stay as they are.
func (u *upload) mergeable() int {
	small := max(mergeSize, u.rec.Size/maxSegments)
	most := int64(math.MaxInt64)
	if limit := u.repo.Driver.MaxObjectSize(); limit > 0 {
		most = limit / 2
	}
	segments := u.rec.Segments
	n := 0
	sum := int64(0)
	for i := len(segments) - 1; i >= 0; i-- {
		size := segments[i].Size
		if size >= small || n > 0 && size > sum || size > most-sum {
			break
		}
		n++
		sum += size
	}
	if n < 2 && sum > InlineSize {
		return 0 // merging a single segment gains nothing yet
	}
	return n
}

// advance makes next the state of the upload, with the state of the hash h.
//
// Errors: as change.
func (u *upload) advance(ctx context.Context, next uploadRecord, h hash.Hash) error {
	var err error
	if next.Hash, err = hashState(h); err != nil {
		return err
	}
	return u.change(ctx, next)
}

// change makes r the state of the upload.
//
// Errors: registry.ErrRangeInvalid if another request has changed the upload, and u is then as that
// request left it; registry.ErrUploadUnknown if another request has ended the upload.
func (u *upload) change(ctx context.Context, r uploadRecord) error {
	if err := u.save(ctx, r); !driver.IsConflict(err) {
		return object.RegistryError(err)
	}
	if err := u.load(ctx); err != nil {
		return err
	}
	return registry.ErrRangeInvalid
}

// heads has the buffers for the first bytes of what is received. How many there are decides whether
// the bytes go into the record or into a segment.
var heads = sync.Pool{New: func() any { return new([InlineSize]byte) }}

// input reads what a client sends: at most left bytes, or up to the end if left is negative. It
// also writes the bytes to the hash. An error of r ends the input as io.EOF does, and is kept in
// err, so that the bytes before the error are stored.
type input struct {
	r    io.Reader
	h    hash.Hash
	left int64 // the number of announced bytes that have not come yet; negative if none were announced
	n    int64 // the number of bytes that have come
	err  error // of r, if it is not io.EOF
	end  bool  // r has ended
}

// ended reports whether there is nothing more to read.
func (in *input) ended() bool { return in.end || in.left == 0 }

// whole reports whether as many bytes have come as were announced.
func (in *input) whole() bool { return in.err == nil && in.left <= 0 }

// Read implements [io.Reader].
func (in *input) Read(p []byte) (int, error) {
	if in.ended() {
		return 0, io.EOF
	}
	if in.left > 0 && int64(len(p)) > in.left {
		p = p[:in.left]
	}
	n, err := in.r.Read(p)
	in.h.Write(p[:n])
	in.n += int64(n)
	if in.left > 0 {
		in.left -= int64(n)
	}
	if err != nil {
		in.end = true
		if !errors.Is(err, io.EOF) {
			in.err = err
		}
		if n > 0 {
			return n, nil
		}
		return 0, io.EOF
	}
	return n, nil
}

// concat reads the bytes of segments, one after the other, and then rest.
type concat struct {
	objects  *object.Store
	ctx      context.Context
	segments []object.Segment
	rest     io.Reader
	open     io.ReadCloser // reads the segment before segments[0]; nil if none is open
	left     int64         // the number of bytes that are left in open
}

// Read implements [io.Reader].
func (c *concat) Read(p []byte) (int, error) {
	for {
		if c.open == nil && len(c.segments) == 0 {
			return c.rest.Read(p)
		}
		if c.open == nil {
			r, _, err := c.objects.Driver.Open(c.ctx, object.DataKey(c.segments[0].Name), nil)
			if err != nil {
				return 0, fmt.Errorf("storage: merging segments: %w", err)
			}
			c.open, c.left = r, c.segments[0].Size
			c.segments = c.segments[1:]
		}
		n, err := c.open.Read(p)
		c.left -= int64(n)
		if err == io.EOF {
			if c.left != 0 {
				return n, fmt.Errorf("storage: merging segments: %w", io.ErrUnexpectedEOF)
			}
			c.close()
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// close closes the open segment, if any.
func (c *concat) close() {
	if c.open != nil {
		_ = c.open.Close()
		c.open = nil
	}
}
