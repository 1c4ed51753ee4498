package registry_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// frames is a minimal HTTP/2 client that sees single frames. It never opens the flow-control
// window, so the server can send headers but no byte of a body.
type frames struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	next uint32 // the next stream ID
}

// These constants are the parts of RFC 9113 that frames needs.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameRSTStream    = 0x3
	frameSettings     = 0x4
	frameWindowUpdate = 0x8
	flagEndStream     = 0x1
	flagEndHeaders    = 0x4
	flagAck           = 0x1
)

// dialFrames connects to a server that supports HTTP/2 without TLS.
func dialFrames(t testing.TB, host string) *frames {
	conn, err := net.Dial("tcp", host)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	f := &frames{t: t, conn: conn, r: bufio.NewReader(conn), next: 1}
	_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	require.NoError(t, err)
	f.write(frameSettings, 0, 0, []byte{0, 4, 0, 0, 0, 0}) // SETTINGS_INITIAL_WINDOW_SIZE = 0
	return f
}

func (f *frames) write(kind, flags byte, stream uint32, payload []byte) {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = binary.BigEndian.AppendUint32(append(b, flags), stream)
	_, err := f.conn.Write(append(b, payload...))
	require.NoError(f.t, err)
}

// read returns the next frame of a stream.
func (f *frames) read() (kind, flags byte, stream uint32) {
	for {
		var head [9]byte
		_, err := io.ReadFull(f.r, head[:])
		require.NoError(f.t, err)
		_, err = f.r.Discard(int(binary.BigEndian.Uint32(head[:]) >> 8))
		require.NoError(f.t, err)
		kind, flags, stream = head[3], head[4], binary.BigEndian.Uint32(head[5:])
		if kind == frameSettings && flags&flagAck == 0 {
			f.write(frameSettings, flagAck, 0, nil)
		}
		if stream != 0 {
			return kind, flags, stream
		}
	}
}

// request sends a request without a body and returns its stream.
func (f *frames) request(method, path string) uint32 {
	var block []byte
	for _, field := range [][2]string{{":method", method}, {":scheme", "http"}, {":authority", "x"}, {":path", path}} {
		block = append(block, 0) // a literal that is not indexed: RFC 7541, section 6.2.2
		for _, s := range field {
			block = append(appendInt7(block, len(s)), s...)
		}
	}
	stream := f.next
	f.next += 2
	f.write(frameHeaders, flagEndStream|flagEndHeaders, stream, block)
	return stream
}

// appendInt7 appends an integer with a prefix of 7 bits: RFC 7541, section 5.1.
func appendInt7(b []byte, n int) []byte {
	if n < 127 {
		return append(b, byte(n))
	}
	b = append(b, 127)
	for n -= 127; n >= 128; n /= 128 {
		b = append(b, byte(n%128+128))
	}
	return append(b, byte(n))
}
