package quota

import (
	"context"
	"errors"
	"io"
	"math"
	"time"
)

// lookEvery is how often a body of unknown length looks how much may come.
const lookEvery = 10 * time.Second

// body is the body of a chunk. It keeps what the upload holds from expiring. If the length of the chunk
// is unknown, it fails as soon as the upload exceeds what is left of the limit, and holds the bytes at
// their end, before they are stored as a whole.
type body struct {
	u   *upload
	ctx context.Context
	r   io.Reader
	at  int64 // the size of the upload with what has been read

	limited bool
	room    int64                              // the size that the upload may have
	whole   func(context.Context, int64) error // is called at the end, with the size of the upload; or nil
	next    time.Time                          // of a look at the record, or of a renewal

	err     error // of r, other than io.EOF
	refusal error
}

func (u *upload) body(ctx context.Context, offset int64, r io.Reader) *body {
	return &body{u: u, ctx: ctx, r: r, at: offset, next: time.Now().Add(u.a.q.opts.Hold / 3)}
}

// hold prepares a chunk of a known length.
func (b *body) hold(offset, length int64) error { return b.u.holdBytes(b.ctx, sum(offset, length)) }

// measure prepares a chunk of unknown length. whole is called with the size of the upload at its end.
func (b *body) measure(whole func(context.Context, int64) error) error {
	b.whole, b.limited = whole, true
	return b.look(false)
}

// look finds out how large the upload may become. Without fresh, it reads no record that was read
// within lookEvery.
func (b *body) look(fresh bool) error {
	r, err := b.u.a.ready(b.ctx)
	if err != nil {
		return err
	}
	if _, at := b.u.a.known(); fresh || time.Since(at) > lookEvery {
		if r, err = b.u.a.refresh(b.ctx); err != nil {
			return err
		}
	}
	b.next = time.Now().Add(lookEvery)
	limit := b.u.a.rule.Max.Bytes
	if limit == 0 {
		b.room = math.MaxInt64
		return nil
	}
	used := r.figure().Bytes - r.Holds[b.u.id()].Charged.Bytes
	if b.room = limit - used; b.at <= b.room {
		return nil
	}
	if !fresh {
		return b.look(true)
	}
	b.u.a.noteRefusal()
	return (&excess{resource: Bytes, limit: limit, used: used, needed: b.at}).refusal(b.u.a.prefix)
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	if b.refusal != nil {
		return 0, b.refusal
	}
	n, err := b.r.Read(p)
	b.at += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
		return n, err
	}
	if rerr := b.proceed(errors.Is(err, io.EOF)); rerr != nil {
		b.refusal = rerr
		return n, rerr
	}
	return n, err
}

// proceed checks what has been read.
func (b *body) proceed(end bool) error {
	if end && b.whole != nil {
		whole := b.whole
		b.whole = nil
		return whole(b.ctx, b.at)
	}
	late := time.Now().After(b.next)
	switch {
	case b.limited && (late || b.at > b.room):
		return b.look(true)
	case late && b.whole == nil:
		b.next = time.Now().Add(b.u.a.q.opts.Hold / 3)
		return b.u.a.renew(b.ctx, b.u.id())
	}
	return nil
}

// renew keeps what a push holds from expiring.
func (a *account) renew(ctx context.Context, id string) error {
	_, err := a.update(ctx, func(r *record, now time.Time) error {
		h, held := r.Holds[id]
		if !held {
			return errUnchanged // it has expired, so it counts as added
		}
		h.Time = now.Unix()
		r.Holds[id] = h
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}
