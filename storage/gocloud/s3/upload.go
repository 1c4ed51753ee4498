package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/registrykit/registry/storage/gocloud"
)

const (
	// abortTimeout is how long the end of an upload that has failed may take.
	abortTimeout = 30 * time.Second
	// conflicts is how often a write is tried again that the store could not decide because of another at the same moment.
	conflicts = 5
)

// upload is one write of an object.
type upload struct {
	s    *store
	name string
	body io.Reader
	opts *gocloud.PutOptions

	next   [1]byte // read ahead to see whether there is more
	peeked bool

	sending sync.WaitGroup
	mu      sync.Mutex
	parts   []types.CompletedPart
	err     error // of a part
}

// run writes the object and returns its version.
func (u *upload) run(ctx context.Context) (version string, err error) {
	part, more, err := u.fill(0)
	if err != nil {
		return "", err
	}
	if !more {
		defer u.s.buffers.put(part)
		return u.single(ctx, part)
	}
	in := &awss3.CreateMultipartUploadInput{Bucket: &u.s.bucket, Key: &u.name, ContentType: &u.opts.ContentType}
	if err := hook(u.s, in); err != nil {
		u.s.buffers.put(part)
		return "", err
	}
	created, err := u.s.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		u.s.buffers.put(part)
		return "", err
	}
	version, err = u.multipart(ctx, created.UploadId, part)
	if err != nil {
		// Nobody sees the parts, and they would cost their space for ever. The reason may be that ctx has ended.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
		defer cancel()
		_, aerr := u.s.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: &u.s.bucket, Key: &u.name, UploadId: created.UploadId})
		var gone *types.NoSuchUpload
		if aerr != nil && !errors.As(aerr, &gone) {
			err = &abortError{err, aerr}
		}
	}
	return version, err
}

// abortError is why a write has failed, with why its parts could not be removed for the log.
type abortError struct{ err, abort error }

func (e *abortError) Error() string {
	return e.err.Error() + " (and its parts remain: " + e.abort.Error() + ")"
}

func (e *abortError) Unwrap() error { return e.err }

// single writes what is one part.
func (u *upload) single(ctx context.Context, content []byte) (string, error) {
	in := &awss3.PutObjectInput{Bucket: &u.s.bucket, Key: &u.name, ContentType: &u.opts.ContentType}
	in.IfMatch, in.IfNoneMatch = conditions(u.opts)
	if err := hook(u.s, in); err != nil {
		return "", err
	}
	for n := 0; ; n++ {
		in.Body = bytes.NewReader(content)
		out, err := u.s.client.PutObject(ctx, in)
		if err == nil {
			return aws.ToString(out.ETag), nil
		}
		if !isConflict(err) || n == conflicts {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(rand.N(10 * time.Millisecond << n)):
		}
	}
}

// multipart writes what begins with part and goes on. Before it returns, nothing of it is on its way any more.
func (u *upload) multipart(ctx context.Context, id *string, part []byte) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer u.sending.Wait()
	for number, more := 0, true; ; {
		number++
		if size := int64(cap(part)); more && u.s.buffers.ahead(size) {
			sent, n := part, int32(number)
			u.sending.Go(func() {
				defer u.s.buffers.done(size)
				if !u.send(ctx, id, n, sent) {
					cancel() // of the others
				}
			})
		} else if !u.send(ctx, id, int32(number), part) {
			break
		}
		if !more {
			break
		}
		var err error
		if part, more, err = u.fill(number); err != nil {
			cancel()
			u.sending.Wait()
			return "", errors.Join(err, u.err)
		}
		if u.failed() {
			u.s.buffers.put(part)
			break
		}
	}
	u.sending.Wait()
	if u.err != nil {
		return "", u.err
	}
	slices.SortFunc(u.parts, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	in := &awss3.CompleteMultipartUploadInput{
		Bucket: &u.s.bucket, Key: &u.name, UploadId: id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	}
	in.IfMatch, in.IfNoneMatch = conditions(u.opts)
	out, err := u.s.client.CompleteMultipartUpload(ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

// send sends a part, gives its buffer back, and reports whether it is there.
func (u *upload) send(ctx context.Context, id *string, number int32, part []byte) bool {
	defer u.s.buffers.put(part)
	out, err := u.s.client.UploadPart(ctx, &awss3.UploadPartInput{
		Bucket: &u.s.bucket, Key: &u.name, UploadId: id, PartNumber: &number, Body: bytes.NewReader(part),
	})
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		if u.err == nil {
			u.err = err
		}
		return false
	}
	u.parts = append(u.parts, types.CompletedPart{
		PartNumber: &number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C,
		ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256,
	})
	return true
}

func (u *upload) failed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err != nil
}

// fill reads a part into a buffer, and reports whether there is more after it. The buffer grows with what it holds, so that what is small
// takes little.
func (u *upload) fill(number int) (part []byte, more bool, err error) {
	size := u.opts.Parts.Size(number, u.opts.Size)
	first := int64(smallBuffer)
	if number > 0 || u.opts.Size >= size {
		first = size
	} else if u.opts.Size > 0 {
		first = u.opts.Size
	}
	buf := u.s.buffers.get(min(first, size))
	n := 0
	if u.peeked {
		buf[0], n, u.peeked = u.next[0], 1, false
	}
	for {
		m, err := io.ReadFull(u.body, buf[n:])
		n += m
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return buf[:n], false, nil
		}
		if err == nil {
			_, err = io.ReadFull(u.body, u.next[:])
			if err == io.EOF {
				return buf[:n], false, nil
			}
			u.peeked = err == nil
		}
		if err != nil {
			u.s.buffers.put(buf)
			return nil, false, err
		}
		if int64(len(buf)) >= size {
			return buf[:n], true, nil
		}
		next := size
		if len(buf) < middleBuffer {
			next = min(size, middleBuffer)
		}
		larger := u.s.buffers.get(next)
		copy(larger, buf[:n])
		u.s.buffers.put(buf)
		larger[n], u.peeked = u.next[0], false
		n++
		buf = larger
	}
}
