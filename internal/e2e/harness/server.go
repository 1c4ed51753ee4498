// Package harness starts registries as real processes and speaks to them as clients do. Tests, the
// comparison and the memory check share it.
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

// Kind is which registry runs.
type Kind string

const (
	Ours Kind = "registry" // examples/server of this repository
	Peer Kind = "peer"     // the CNCF registry, see install.sh for its version
)

// Default is Ours, unless E2E_SERVER=peer: running the same tests against another registry shows
// that they are fair.
func Default() Kind {
	if os.Getenv("E2E_SERVER") == string(Peer) {
		return Peer
	}
	return Ours
}

// Options say how a registry is started.
type Options struct {
	Kind    Kind     // default: Default()
	Program string   // an earlier build of examples/server to run as Ours; default: this one
	Storage string   // a directory, "mem://", or the URL of a bucket
	Env     []string // further variables of the environment
	Addr    string   // default: a free port on the loopback address
	Args    []string // further flags of examples/server; the peer ignores them
	CA      string   // file of the authority of its certificate, if Args have it speak TLS
	Log     string   // file that collects its output; default: one beside the storage

	Bucket     *ObjectStore // instead of Storage: its bucket
	BucketAddr string       // what stands in front of that; default: nothing
}

// Server is a running registry process.
type Server struct {
	Addr string // host:port
	Log  string // file with its output

	cmd    *exec.Cmd
	scheme string
	done   chan struct{} // closed when the process has ended
}

// Start runs a registry and waits until it answers. The caller ends it with Stop or Kill.
func Start(o Options) (*Server, error) {
	if o.Kind == "" {
		o.Kind = Default()
	}
	if o.Addr == "" {
		addr, err := freeAddr()
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

// command returns the process to start and the path that answers 200 when it is ready.
func command(o Options) (*exec.Cmd, string, error) {
	if o.Kind == Peer {
		bin, err := Tool("registry")
		if err != nil {
			return nil, "", err
		}
		config, err := peerConfig(o)
		if err != nil {
			return nil, "", err
		}
		cmd := exec.Command(bin, "serve", config)
		cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
		return cmd, "/v2/", nil
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

// trusting returns a client that trusts the authority of a file, and no other.
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

// wait asks until the registry is ready, at most 30 s.
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
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// URL is the base without a path.
func (s *Server) URL() string { return s.scheme + "://" + s.Addr }

// PID is the process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Running says whether the process has not ended.
func (s *Server) Running() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// Stop ends the process as an operator would, and kills it after 20 s. An exit code other than 0 is
// an error.
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

// Kill ends the process with SIGKILL and waits until it is gone.
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

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
