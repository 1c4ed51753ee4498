package main

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// logSize is the size of the log in bytes. It is written in advance, because the sync of a file
// that keeps its size is the cheapest. At its end, the log starts again.
const logSize = 16 << 20

// syncedLog is a file to which concurrent callers append. One sync serves all callers that wait.
type syncedLog struct {
	f     *os.File
	syncs atomic.Int64

	mu     sync.Mutex
	offset int64
	wait   *group // callers that the next sync serves
	busy   bool   // a sync is running
}

// group is the callers that share a sync.
type group struct {
	size int
	done chan struct{}
	err  error
}

func newGroup() *group { return &group{done: make(chan struct{})} }

func openLog(dir string) (*syncedLog, error) {
	f, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(make([]byte, logSize)); err != nil {
		return nil, err
	}
	return &syncedLog{f: f, wait: newGroup()}, f.Sync()
}

// append writes b to the log and returns when it is durable.
func (l *syncedLog) append(b []byte) error {
	l.mu.Lock()
	if l.offset+int64(len(b)) > logSize {
		l.offset = 0
	}
	offset := l.offset
	l.offset += int64(len(b))
	l.mu.Unlock()
	if _, err := l.f.WriteAt(b, offset); err != nil {
		return err
	}
	l.mu.Lock()
	mine := l.wait
	mine.size++
	lead := !l.busy
	l.busy = true
	l.mu.Unlock()
	if lead {
		l.lead()
	}
	<-mine.done
	return mine.err
}

// lead syncs until no caller waits.
func (l *syncedLog) lead() {
	for {
		l.mu.Lock()
		served := l.wait
		if served.size == 0 {
			l.busy = false
			l.mu.Unlock()
			return
		}
		l.wait = newGroup()
		l.mu.Unlock()
		served.err = fdatasync(l.f)
		l.syncs.Add(1)
		close(served.done)
	}
}
