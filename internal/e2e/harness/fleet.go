package harness

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
)

// Fleet is several servers that share only their storage.
type Fleet struct {
	options Options

	mu      sync.Mutex
	servers []*Server
}

// StartFleet starts n servers. The caller must call Stop.
func StartFleet(n int, o Options) (*Fleet, error) {
	f := &Fleet{options: o}
	for range n {
		if err := f.Add(""); err != nil {
			return nil, errors.Join(err, f.Stop())
		}
	}
	return f, nil
}

// Add starts one more server at addr. "" means a free port.
func (f *Fleet) Add(addr string) error {
	o := f.options
	o.Addr = addr
	s, err := Start(o)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.servers = append(f.servers, s)
	return nil
}

// Servers returns the servers that get requests, in the order in which they were added.
func (f *Fleet) Servers() []*Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.servers)
}

// Client returns a client that sends each request to a random server.
func (f *Fleet) Client() *Client {
	c := NewClient("")
	c.Route = func() string {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.servers[rand.IntN(len(f.servers))].URL()
	}
	return c
}

// Kill kills the oldest server of the fleet and returns its address. The fleet sends it no more
// requests.
func (f *Fleet) Kill() (string, error) {
	victim := f.Servers()[0]
	err := victim.Kill()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.servers = f.servers[1:]
	return victim.Addr, err
}

// Stop stops all servers with SIGTERM.
func (f *Fleet) Stop() error {
	var errs []error
	for _, s := range f.Servers() {
		errs = append(errs, s.Stop())
	}
	return errors.Join(errs...)
}
