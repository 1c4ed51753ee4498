package replicate_test

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// line is a network line to a server. It counts the bytes that cross it, and is cut at some of them.
type line struct {
	URL string
	// up and down are the bytes that have reached the server and the client.
	up, down atomic.Int64

	mu               sync.Mutex
	cutsUp, cutsDown []int64 // the positions at which the line is still to be cut
	every            int64   // cuts each connection after this number of bytes of one direction, unless 0
}

// newLine returns a line to the server at target.
func newLine(t testing.TB, target string) *line {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &line{URL: "http://" + listener.Addr().String()}
	var conns sync.WaitGroup
	var open sync.Map
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Store(conn, nil)
			conns.Go(func() { l.serve(conn, u.Host) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		open.Range(func(conn, _ any) bool { _ = conn.(net.Conn).Close(); return true })
		conns.Wait()
	})
	return l
}

// cut makes the line break when a number of bytes have crossed it since it was made.
func (l *line) cut(up, down []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutsUp, l.cutsDown = up, down
}

// left returns the number of cuts that have not happened.
func (l *line) left() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.cutsUp) + len(l.cutsDown)
}

func (l *line) serve(client net.Conn, host string) {
	defer client.Close()
	server, err := net.Dial("tcp", host)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	end := func() { _ = client.Close(); _ = server.Close() }
	both.Go(func() { l.copy(server, client, &l.up, &l.cutsUp); end() })
	both.Go(func() { l.copy(client, server, &l.down, &l.cutsDown); end() })
	both.Wait()
}

// copy copies one direction of a connection until it ends or is cut. What has crossed the line before
// the cut arrives.
func (l *line) copy(to, from net.Conn, count *atomic.Int64, cuts *[]int64) {
	buf := make([]byte, 16<<10)
	own := int64(0)
	for {
		n, err := from.Read(buf)
		l.mu.Lock()
		cut := false
		if at := count.Load(); len(*cuts) > 0 && at+int64(n) >= (*cuts)[0] {
			n, cut = int((*cuts)[0]-at), true
			*cuts = (*cuts)[1:]
		}
		if l.every > 0 && own+int64(n) >= l.every {
			n, cut = int(l.every-own), true
		}
		own += int64(n)
		count.Add(int64(n))
		l.mu.Unlock()
		if _, werr := to.Write(buf[:n]); werr != nil || err != nil || cut {
			if cut {
				_ = to.(*net.TCPConn).CloseWrite()
			}
			return
		}
	}
}
