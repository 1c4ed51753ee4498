package nats_test

import (
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// testServer is a NATS server in this process, which can be stopped and started again.
type testServer struct {
	t    *testing.T
	opts server.Options
	srv  *server.Server
}

// startServer starts a server on a free port of the loopback interface. Its streams are in a
// temporary folder.
func startServer(t *testing.T) *testServer {
	t.Helper()
	s := &testServer{t: t, opts: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		MaxPayload: 256 << 10, SyncAlways: true,
	}}
	s.start()
	s.opts.Port = s.srv.Addr().(*net.TCPAddr).Port
	t.Cleanup(s.stop)
	return s
}

// start starts the server, with what an earlier one has stored.
func (s *testServer) start() {
	s.t.Helper()
	opts := s.opts
	srv, err := server.NewServer(&opts)
	require.NoError(s.t, err)
	srv.Start()
	require.True(s.t, srv.ReadyForConnections(10*time.Second))
	s.srv = srv
}

func (s *testServer) stop() {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
}

// connect returns a client that waits for a server that is down, as the package comment advises.
func (s *testServer) connect(opts ...nats.Option) jetstream.JetStream {
	s.t.Helper()
	conn, err := nats.Connect(s.srv.ClientURL(), append([]nats.Option{
		nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectJitter(0, 0),
	}, opts...)...)
	require.NoError(s.t, err)
	s.t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(s.t, err)
	return js
}

// stream creates the stream of the default subjects.
func (s *testServer) stream(js jetstream.JetStream, configure ...func(*jetstream.StreamConfig)) {
	s.t.Helper()
	config := jetstream.StreamConfig{Name: "REGISTRY", Subjects: []string{"registry.events.>"}}
	for _, f := range configure {
		f(&config)
	}
	_, err := js.CreateStream(s.t.Context(), config)
	require.NoError(s.t, err)
}

// stored returns all messages of the stream.
func (s *testServer) stored(js jetstream.JetStream) []*jetstream.RawStreamMsg {
	s.t.Helper()
	stream, err := js.Stream(s.t.Context(), "REGISTRY")
	require.NoError(s.t, err)
	info, err := stream.Info(s.t.Context())
	require.NoError(s.t, err)
	var messages []*jetstream.RawStreamMsg
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
		m, err := stream.GetMsg(s.t.Context(), seq)
		require.NoError(s.t, err)
		messages = append(messages, m)
	}
	return messages
}
