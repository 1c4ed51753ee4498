package harness

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"time"
)

// StoreProxy is a proxy in front of a storage server. It records the requests of a registry and can
// delay them or make them fail.
type StoreProxy struct {
	Addr string // address of its listener

	mu       sync.Mutex
	delay    time.Duration
	fault    func(*http.Request) int
	requests []StoreRequest
	open     int       // requests in progress
	ended    sync.Cond // a request has ended
	server   *http.Server
}

// StoreRequest is one request to a storage server.
type StoreRequest struct {
	Method     string
	URL        string
	Copy       bool // a copy within the store, in the form of S3 or Azure
	Part       bool // a part of a larger object
	Status     int
	Start, End time.Time // End: the whole response had been passed on
}

// NewStoreProxy starts a proxy in front of the server at addr. The caller must call Close.
func NewStoreProxy(addr string) (*StoreProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &StoreProxy{Addr: listener.Addr().String()}
	p.ended.L = &p.mu
	forward := &httputil.ReverseProxy{
		// Signatures cover the Host header, so it must not change.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http",
				Host: addr})
			r.Out.Host = r.In.Host
		},
		FlushInterval: -1,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	}
	p.server = &http.Server{ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			p.open++
			delay, fault := p.delay, p.fault
			p.mu.Unlock()
			q := r.URL.Query()
			record := StoreRequest{
				Method: r.Method, URL: r.URL.String(), Start: time.Now(),
				Copy: r.Header.Get("X-Amz-Copy-Source")+r.Header.Get("X-Ms-Copy-Source") != "",
				Part: r.Method == http.MethodPut && (q.Has("partNumber") || q.Get("comp") == "block"),
			}
			time.Sleep(delay)
			response := &statusWriter{ResponseWriter: w, status: http.StatusOK}
			defer func() { // deferred, because the proxy panics if it cannot finish a response
				record.Status, record.End = response.status, time.Now()
				p.mu.Lock()
				defer p.mu.Unlock()
				p.requests = append(p.requests, record)
				p.open--
				p.ended.Broadcast()
			}()
			if fault != nil {
				if status := fault(r); status != 0 {
					refuse(response, r, status)
					return
				}
			}
			forward.ServeHTTP(response, r)
		})}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

// refuse responds with an error in the format of S3.
func refuse(w http.ResponseWriter, r *http.Request, status int) {
	_, _ = io.Copy(io.Discard, r.Body) // a client that is still writing would otherwise see a lost connection
	code := map[int]string{http.StatusServiceUnavailable: "SlowDown", http.StatusForbidden: "AccessDenied"}[status]
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>as the test wants it</Message></Error>", code)
}

// statusWriter records the status of a response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap makes the methods of the underlying writer available to [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Close stops the proxy.
func (p *StoreProxy) Close() error { return p.server.Close() }

// SetDelay delays every later request by d.
func (p *StoreProxy) SetDelay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// SetFault lets f choose the status with which the proxy itself responds to each later request,
// such as 503 (SlowDown) or 403 (AccessDenied). 0 passes the request on. A nil f ends the faults. f
// may be called concurrently.
func (p *StoreProxy) SetFault(f func(*http.Request) int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// Take returns the requests since the last Take, in the order of their beginning. It waits for
// requests in progress, also for those that begin while it waits.
func (p *StoreProxy) Take() StoreRequests {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.open > 0 {
		p.ended.Wait()
	}
	taken := p.requests
	p.requests = nil
	slices.SortFunc(taken, func(a, b StoreRequest) int { return a.Start.Compare(b.Start) })
	return taken
}

// StoreRequests are requests in the order of their beginning.
type StoreRequests []StoreRequest

// Besides returns the number of requests that are not parts of a larger object.
func (rs StoreRequests) Besides() int {
	return len(rs) - len(slices.DeleteFunc(slices.Clone(rs), func(r StoreRequest) bool { return !r.Part }))
}

// Copies returns the number of copies within the store.
func (rs StoreRequests) Copies() int {
	return len(slices.DeleteFunc(slices.Clone(rs), func(r StoreRequest) bool { return !r.Copy }))
}

// Chain returns the length of the longest sequence of requests each of which began after the end of
// the one before. A longer distance to the store multiplies the time of this sequence.
func (rs StoreRequests) Chain() int {
	byEnd := slices.SortedFunc(slices.Values(rs), func(a, b StoreRequest) int { return a.End.Compare(b.End) })
	n, last := 0, time.Time{}
	for _, r := range byEnd {
		if r.Start.After(last) {
			n, last = n+1, r.End
		}
	}
	return n
}
