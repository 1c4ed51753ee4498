// Command limit is the limit that compare measures registries against: a bare net/http server that
// does only what the operating system and the protocol require. It is no registry and checks
// nothing.
//
// Reads get the recorded response of a registry: the same status, headers and bytes. A large body
// is a file, which http.ServeContent sends. Writes are hashed and stored: small ones are appended
// to one log, large ones are files. Before the response to a commit, mount, push of a manifest or
// delete, the server syncs what it stored. Requests that wait at the same time share the sync of
// the log.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:5000", "listen on this `address`")
	dir := flag.String("storage", "", "store in this `directory`")
	buffer := flag.Int("buffer", 256<<10, "size of the buffers between sockets and files, in bytes")
	flag.Parse()
	if err := run(*addr, *dir, *buffer); err != nil {
		fmt.Fprintln(os.Stderr, "limit:", err)
		os.Exit(1)
	}
}

// server is the handler of all requests.
type server struct {
	own     http.ServeMux // of requests that a registry does not have
	answers answers
	uploads uploads
	log     *syncedLog
	dir     string
	buffers sync.Pool // *[]byte between sockets and files
}

func run(addr, dir string, buffer int) error {
	s, err := newServer(dir, buffer)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return http.Serve(l, s)
}

func newServer(dir string, buffer int) (*server, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	log, err := openLog(dir)
	if err != nil {
		return nil, err
	}
	s := &server{log: log, dir: dir}
	s.answers.dir = dir
	s.buffers.New = func() any {
		b := make([]byte, buffer)
		return &b
	}
	s.own.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	s.own.HandleFunc("POST /limit/learn", s.learn)
	s.own.HandleFunc("GET /limit/syncs", s.syncs)
	return s, nil
}

// ServeHTTP serves the API of registries without a mux, because routing is not part of the limit.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v2/") {
		s.serve(w, r)
		return
	}
	s.own.ServeHTTP(w, r)
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	var err error
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.answers.serve(w, r)
	case http.MethodPost:
		err = s.post(w, r)
	case http.MethodPatch:
		err = s.patch(w, r)
	case http.MethodPut:
		err = s.put(w, r)
	case http.MethodDelete:
		if err = s.log.append([]byte(r.URL.Path)); err == nil {
			w.WriteHeader(http.StatusAccepted)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// learn starts to record the responses of the registry at the URL in the parameter from, or stops
// if the parameter is empty.
func (s *server) learn(_ http.ResponseWriter, r *http.Request) {
	from := r.URL.Query().Get("from")
	s.answers.from.Store(&from)
}

// syncs responds with the number of syncs so far.
func (s *server) syncs(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, s.log.syncs.Load()+s.uploads.syncs.Load())
}
