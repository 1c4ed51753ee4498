//go:build linux || darwin

package disk

import (
	"bytes"
	"context"
	"io"
	"syscall"
	"time"
)

// maxJournaled is how often a Put appends its content to the journal before it syncs the file.
// Other Puts of the same key may take a later time again and again.
const maxJournaled = 3

// keepContent keeps a small body in memory for the journal. It returns the body to write.
func (w *writing) keepContent(body io.Reader) (io.Reader, error) {
	b, ok := body.(interface{ Len() int })
	if w.d.journal == nil || !isInMemory(body) || !ok || b.Len() > maxSmall {
		return body, nil
	}
	w.content = make([]byte, b.Len())
	if _, err := io.ReadFull(body, w.content); err != nil {
		return nil, err
	}
	return bytes.NewReader(w.content), nil
}

// isSmall reports whether the journal can have the object.
func (w *writing) isSmall() bool {
	return w.d.journal != nil && w.st.Size <= maxSmall && !w.linked
}

// journalContent gives the file a new time and makes its content durable by a record in the journal
// with that time. It returns false if the journal cannot have the content.
func (w *writing) journalContent() (bool, error) {
	// A new time belongs to no other record of the path. The number of a change may belong to one.
	t := w.d.now()
	if w.journaled > 0 {
		t = w.afterDirectory(t)
	}
	if err := w.takeTime(t); err != nil {
		return false, err
	}
	w.journaled++
	content := w.content
	if content == nil {
		content = make([]byte, w.st.Size)
		if err := readFull(w.temp.fd, content); err != nil {
			return false, err
		}
	}
	r := &record{kind: contentRecord, path: w.path, seq: mtime(&w.st), content: content}
	m := &demand{path: w.path, content: r}
	if err := w.d.journal.sync(context.Background(), []*demand{m}); err != nil || m.direct {
		return false, err
	}
	w.synced, w.inJournal, w.retimed = true, true, false
	return true, nil
}

// afterDirectory returns t, or a time after the last change of the directory of the object if t is
// before that because the clock has jumped back. Other calls, which have another t, most probably
// get another time.
func (w *writing) afterDirectory(t int64) int64 {
	var st syscall.Stat_t
	if lstat(w.d.objects+parent(w.path), &st) != nil || mtime(&st) < t {
		return t
	}
	return mtime(&st) + 1 + t%int64(time.Millisecond)
}

// recordKept renames the file by do. If the file keeps its time, recordKept appends a record of
// that to the journal, because the time may be before that of older records of the path.
func (w *writing) recordKept(do func() error) error {
	if !w.linked || w.d.journal == nil {
		return do()
	}
	return w.d.journal.change(record{kind: keptRecord, path: w.path, seq: mtime(&w.st)}, do)
}
