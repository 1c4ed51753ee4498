package fill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/pause"
)

// maxIdleTries is the number of requests in a row that may fail without bringing a byte.
const maxIdleTries = 3

// errBroken is returned when a response ends too early. Another request continues.
var errBroken = errors.New("fill: the connection to the upstream broke off")

// pump brings the rest of the blob into memory. It waits for the upload if that is slower than the
// upstream, and never for a reader.
//
// Errors: errWrong; ErrChanged; an error of Source.Fetch; the cause of ctx.
func (h *holding) pump(ctx context.Context) error {
	failures := 0
	for {
		before := h.position()
		err := h.request(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case h.position() > before:
			failures = 0
		case before == h.from && failures == 0 && !errors.Is(err, errBroken):
			return err // nothing has come at all
		}
		if !isTransient(err) {
			return err
		}
		if failures++; failures > maxIdleTries {
			return registry.ErrUnavailable.WithCause(err)
		}
		if pause.Sleep(ctx, pause.Backoff(failures, 250*time.Millisecond, 2*time.Second)) != nil {
			return context.Cause(ctx)
		}
	}
}

// isTransient reports whether another request may succeed after err.
func isTransient(err error) bool {
	return errors.Is(err, errBroken) || errors.Is(err, registry.ErrUnavailable)
}

// position returns the position of the next byte.
func (h *holding) position() int64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.window.end()
}

// request requests the rest of the blob once, and reads the response.
//
// Errors: errBroken if the response ends before the blob; those of pump.
func (h *holding) request(ctx context.Context) error {
	h.mu.RLock()
	pos, etag := h.window.end(), h.etag
	h.mu.RUnlock()
	resp, err := h.source.Fetch(ctx, h.digest, pos, etag)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := h.accept(resp); err != nil {
		return err
	}
	if resp.Offset != pos {
		// The upstream has no ranges. The digest of all bytes will cover those that are skipped.
		if resp.Offset != 0 {
			return fmt.Errorf("%w: it begins at %d instead of %d", errBroken, resp.Offset, pos)
		}
		if _, err := io.CopyN(io.Discard, resp.Body, pos); err != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
	}
	return h.receive(ctx, resp)
}

// accept checks that a response is of the same content as those before, and notes what it states.
//
// Errors: errWrong; ErrChanged.
func (h *holding) accept(resp *Response) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.size >= 0 && resp.Size >= 0 && resp.Size != h.size {
		if h.window.end() > 0 {
			return fmt.Errorf("%w: it has %d bytes instead of %d", ErrChanged, resp.Size, h.size)
		}
		h.wrong = resp.URL
		return fmt.Errorf("%w: it has %d bytes instead of %d", errWrong, resp.Size, h.size)
	}
	if h.etag != "" && resp.ETag != "" && resp.URL == h.url && resp.ETag != h.etag {
		return fmt.Errorf("%w: its entity tag is %s instead of %s", ErrChanged, resp.ETag, h.etag)
	}
	if resp.ETag != "" {
		h.etag, h.url = resp.ETag, resp.URL
	}
	h.start(max(h.size, resp.Size))
	return nil
}

// receive reads the body of a response into memory.
//
// Errors: as request.
func (h *holding) receive(ctx context.Context, resp *Response) error {
	for {
		buf, err := h.space(ctx)
		if err != nil {
			return err
		}
		if len(buf) == 0 {
			return h.expectEnd(resp)
		}
		n, err := resp.Body.Read(buf)
		if n > 0 {
			h.sent(resp.URL)
			h.came(n)
			h.notifyIfFull(n == len(buf))
		}
		if err == io.EOF {
			return h.atEOF(resp)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
	}
}

// sent notes that bytes came from a URL. If the digest is wrong in the end, the first URL is blamed:
// others continued where it broke off, and are asked alone the next time.
func (h *holding) sent(url string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wrong == "" {
		h.wrong = url
	}
}

// space returns memory for the next bytes, or nothing if all bytes of the blob have come. It waits
// until the upload has the oldest block.
//
// Errors: the cause of ctx.
func (h *holding) space(ctx context.Context) ([]byte, error) {
	for {
		room := h.room.wait()
		h.mu.Lock()
		left := int64(h.fills.opts.Block)
		if h.size >= 0 {
			left = min(left, h.size-h.window.end())
		}
		if left == 0 {
			h.mu.Unlock()
			return nil, nil
		}
		buf := h.window.free(h.stored, int(left))
		h.mu.Unlock()
		if buf != nil {
			return buf, nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// notifyIfFull wakes store if a block is full.
func (h *holding) notifyIfFull(full bool) {
	if full {
		h.changed.notify()
	}
}

// expectEnd checks that a body has no more bytes than the blob.
//
// Errors: errWrong.
func (h *holding) expectEnd(resp *Response) error {
	var p [1]byte
	if n, _ := io.ReadFull(resp.Body, p[:]); n > 0 {
		h.mu.Lock()
		h.wrong = resp.URL
		h.mu.Unlock()
		return fmt.Errorf("%w: it has more than %d bytes", errWrong, h.position())
	}
	return nil // even if the connection broke: all bytes have come
}

// atEOF returns the meaning of the end of a body.
//
// Errors: errBroken; errWrong.
func (h *holding) atEOF(resp *Response) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	end := h.window.end()
	switch {
	case h.size < 0 || h.size == end:
		h.size = end
		return nil
	case resp.Size == h.size:
		return fmt.Errorf("%w: %w", errBroken, io.ErrUnexpectedEOF)
	}
	h.wrong = resp.URL
	return fmt.Errorf("%w: it has %d bytes instead of %d", errWrong, end, h.size)
}
