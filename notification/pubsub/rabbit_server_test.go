package pubsub_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// rabbitProgram starts RabbitMQ as the user who calls it. The program of the same name in the PATH
// of Debian starts it as another user, with the settings of the machine.
const rabbitProgram = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// rabbitServer is a RabbitMQ server, which can be killed and started again. All of its ports are on
// the loopback interface, and its files are in a temporary folder.
type rabbitServer struct {
	t          *testing.T
	dir        string
	port, dist int
	epmd       int
	process    *exec.Cmd
}

// startRabbit starts a server. It fails if RabbitMQ is not installed.
func startRabbit(t *testing.T) *rabbitServer {
	t.Helper()
	require.FileExists(t, rabbitProgram, "internal/e2e/install.sh installs RabbitMQ")
	s := &rabbitServer{t: t, dir: t.TempDir(), port: freePort(t), dist: freePort(t), epmd: freePort(t)}
	s.write("rabbitmq.conf", fmt.Sprintf("listeners.tcp.local = 127.0.0.1:%d\nloopback_users = none\n"+
		"log.file = false\nlog.console = true\n", s.port))
	s.write("enabled_plugins", "[].")
	s.write("env.conf", "")

	// epmd tells Erlang nodes each other's ports. RabbitMQ cannot start without one.
	epmd := exec.Command("epmd", "-address", "127.0.0.1", "-port", fmt.Sprint(s.epmd))
	require.NoError(t, epmd.Start())
	t.Cleanup(func() {
		_ = epmd.Process.Kill()
		_ = epmd.Wait()
	})
	s.waitFor(s.epmd)
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *rabbitServer) write(name, content string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600))
}

// start starts the server, with what an earlier one has stored, and waits until it accepts clients.
func (s *rabbitServer) start() {
	s.t.Helper()
	cmd := exec.Command(rabbitProgram, "-noinput")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LANG=C.UTF-8",
		"ERL_EPMD_ADDRESS=127.0.0.1", fmt.Sprintf("ERL_EPMD_PORT=%d", s.epmd),
		"RABBITMQ_ALLOW_INPUT=1", // the script becomes the server, instead of its parent
		"RABBITMQ_NODENAME=registry-test@localhost", fmt.Sprintf("RABBITMQ_DIST_PORT=%d", s.dist),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(s.dir, "env.conf"),
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(s.dir, "rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(s.dir, "enabled_plugins"),
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(s.dir, "data"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(s.dir, "log"),
		"RABBITMQ_GENERATED_CONFIG_DIR=" + filepath.Join(s.dir, "generated"),
		"RABBITMQ_LOGS=-",
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(s.t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = 10 * time.Second
	require.NoError(s.t, cmd.Start())
	s.process = cmd
	if !s.waitFor(s.port) {
		b, _ := os.ReadFile(log.Name())
		s.t.Fatalf("RabbitMQ does not start:\n%s", b)
	}
}

// kill ends the server as a crash would.
func (s *rabbitServer) kill() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
	}
}

// suspend stops all threads of the server. Its connections stay open and are silent.
func (s *rabbitServer) suspend() {
	s.t.Helper()
	s.t.Cleanup(s.resume)
	require.NoError(s.t, s.process.Process.Signal(syscall.SIGSTOP))
	require.Eventually(s.t, func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.process.Process.Pid))
		for _, path := range threads {
			// The state is the first letter after the name, which is in parentheses.
			stat, _ := os.ReadFile(path)
			_, state, _ := strings.Cut(string(stat), ") ")
			if !strings.HasPrefix(state, "T") {
				return false
			}
		}
		return err == nil && len(threads) > 0
	}, time.Minute, 10*time.Millisecond)
}

func (s *rabbitServer) resume() { _ = s.process.Process.Signal(syscall.SIGCONT) }

func (s *rabbitServer) waitFor(port int) bool {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return false
}

func (s *rabbitServer) dial() (*amqp.Connection, error) {
	return amqp.Dial(fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", s.port))
}

// channel returns a channel of a connection of its own.
func (s *rabbitServer) channel() *amqp.Channel {
	s.t.Helper()
	conn, err := s.dial()
	require.NoError(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	require.NoError(s.t, err)
	return ch
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
