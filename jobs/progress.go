package jobs

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// Progress takes what a run wants to tell about itself while it goes on. It is safe for concurrent
// use.
type Progress struct {
	mu    sync.Mutex
	value json.RawMessage
}

// Set replaces the progress of the run. v is anything with a JSON form of at most MaxSize; other
// values are ignored. The process itself lists the progress at once, other processes when the lease
// is next renewed. Set makes no request, so it may be called often.
func (p *Progress) Set(v any) {
	b, err := encode(v)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.value = b
}

// get returns the last value.
func (p *Progress) get() json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.value
}

// encode returns v in JSON, or nil if v is nil.
func encode(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	b, err := json.Marshal(v)
	switch {
	case err != nil:
		return nil, fmt.Errorf("jobs: encoding %T: %w", v, err)
	case len(b) > MaxSize:
		return nil, fmt.Errorf("jobs: %T has %d bytes in JSON; the maximum is %d", v, len(b), MaxSize)
	}
	return b, nil
}

// maxError is the maximum length of a recorded error, in bytes.
const maxError = 2 << 10

// errorText returns the text of an error as it is recorded.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if len(text) > maxError {
		text = text[:maxError] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}
