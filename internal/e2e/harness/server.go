// Package harness starts registries as real processes and talks to them like a client. The
// end-to-end tests and the commands of this module share it.
package harness

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Kind selects a registry.
type Kind string

const (
	Ours Kind = "registry" // examples/server of this repository
	Peer Kind = "peer"     // the CNCF registry; install.sh has its version
	Old  Kind = "old"      // the CNCF registry 2.8, as Debian has it
	// Crane is `crane registry serve --disk`.
	Crane Kind = "crane"
	// Script is any other registry, which the script in Options.Program starts. The script gets two
	// arguments: a port of the loopback address and an empty directory. It must replace itself by
	// the registry (exec), which listens at the port, stores in the directory, allows deletes,
	// responds 200 at /v2/ when it is ready, and ends on SIGTERM.
	Script Kind = "script"
)

// Default returns Ours, or Peer if E2E_SERVER=peer. Running the same tests against another registry
// shows that they are fair.
func Default() Kind {
	if os.Getenv("E2E_SERVER") == string(Peer) {
		return Peer
	}
	return Ours
}

// Options are the options of Start. The zero value of a field means its default.
type Options struct {
	Kind     Kind     // default: Default()
	Program  string   // another program with the flags of examples/server, or a script; default: examples/server
	Storage  string   // a directory, "mem://", or the URL of a bucket
	Env      []string // additional environment variables
	Addr     string   // default: a free port on the loopback address
	Args     []string // additional flags of examples/server; the peer ignores them
	CA       string   // certificate of the registry's authority, required if Args enable TLS
	Log      string   // file for its output; default: a file beside the storage
	Upstream string   // URL of a registry; makes the peer a cache of it (its proxy mode)

	Bucket     *ObjectStore // used instead of Storage
	BucketAddr string       // address of a proxy in front of the bucket; default: none
}

// Server is a running registry process.
type Server struct {
	Addr string // host:port
	Log  string // file with its output

	cmd    *exec.Cmd
	scheme string
	done   chan struct{} // closed when the process has ended
}

// Start starts a registry and waits until it responds. The caller must call Stop or Kill.
func Start(o Options) (*Server, error) {
	if o.Kind == "" {
		o.Kind = Default()
	}
	if o.Addr == "" {
		addr, err := FreeAddr()
		if err != nil {
			return nil, err
		}
		o.Addr = addr
	}
	if o.Bucket != nil {
		if o.BucketAddr == "" {
			o.BucketAddr = o.Bucket.Addr
		}
		o.Storage = o.Bucket.URL(o.BucketAddr)
		o.Env = append(o.Bucket.Env(), o.Env...)
	}
	if o.Log == "" {
		dir, err := os.MkdirTemp("", "registry-log-")
		if err != nil {
			return nil, err
		}
		o.Log = filepath.Join(dir, "log")
	}
	cmd, ready, err := command(o)
	if err != nil {
		return nil, err
	}
	client, scheme := http.DefaultClient, "http"
	if o.CA != "" {
		scheme = "https"
		if client, err = trusting(o.CA); err != nil {
			return nil, err
		}
	}
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &Server{Addr: o.Addr, Log: o.Log, cmd: cmd, scheme: scheme, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(s.done)
	}()
	if err := s.wait(client, ready); err != nil {
		_ = s.Kill()
		return nil, fmt.Errorf("%w\n%s", err, s.Tail())
	}
	return s, nil
}

// command returns the process to start and the path that responds 200 when the registry is ready.
func command(o Options) (*exec.Cmd, string, error) {
	if o.Kind == Peer || o.Kind == Old {
		name := "registry"
		if o.Kind == Old {
			name = "docker-registry"
		}
		bin, err := Tool(name)
		if err != nil {
			return nil, "", err
		}
		config, err := peerConfig(o)
		if err != nil {
			return nil, "", err
		}
		cmd := exec.Command(bin, "serve", config)
		// With AWS_CA_BUNDLE, the S3 driver of docker-registry does not start. Buckets of tests use HTTP.
		cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none", "AWS_CA_BUNDLE=")
		return cmd, "/v2/", nil
	}
	if o.Kind == Crane || o.Kind == Script {
		cmd, err := directory(o)
		return cmd, "/v2/", err
	}
	program := Build
	switch {
	case o.Program != "":
		program = func() (string, error) { return o.Program, nil }
	case strings.Contains(o.Storage, "://") && o.Storage != "mem://":
		program = BuildCloud
	}
	bin, err := program()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(bin, append([]string{"-addr", o.Addr, "-storage", o.Storage}, o.Args...)...)
	cmd.Env = append(os.Environ(), o.Env...)
	return cmd, "/readyz", nil
}

// directory returns the process of a registry that gets nothing but an address and a directory.
func directory(o Options) (*exec.Cmd, error) {
	if err := os.MkdirAll(o.Storage, 0o755); err != nil {
		return nil, err
	}
	if o.Kind == Script {
		_, port, err := net.SplitHostPort(o.Addr)
		return exec.Command(o.Program, port, o.Storage), err
	}
	bin, err := Tool("crane")
	return exec.Command(bin, "registry", "serve", "--disk", o.Storage, "--address", o.Addr), err
}

// trusting returns a client that trusts only the authority in the file ca.
func trusting(ca string) (*http.Client, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots},
		DisableKeepAlives: true}}, nil
}

// wait polls path until the registry is ready, for at most 30 s.
func (s *Server) wait(client *http.Client, path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+path, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.done:
			return errors.New("registry ended while starting")
		case <-ctx.Done():
			return errors.New("registry did not become ready")
		case <-time.After(time.Millisecond):
		}
	}
}

// URL returns the base URL, without a path.
func (s *Server) URL() string { return s.scheme + "://" + s.Addr }

// PID returns the process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Running reports whether the process is still running.
func (s *Server) Running() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// Stop stops the process with SIGTERM, and kills it after 20 s. It returns an error if the process
// had to be killed or its exit code is not 0.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		_ = s.Kill()
		return errors.New("registry did not stop on SIGTERM")
	}
	if code := s.cmd.ProcessState.ExitCode(); code > 0 {
		return fmt.Errorf("registry ended with exit code %d\n%s", code, s.Tail())
	}
	return nil
}

// Kill ends the process with SIGKILL and waits for its end.
func (s *Server) Kill() error {
	err := s.cmd.Process.Kill()
	<-s.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Tail returns the end of the log.
func (s *Server) Tail() string {
	b, err := os.ReadFile(s.Log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// FreeAddr returns a loopback address on which nothing listens.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
