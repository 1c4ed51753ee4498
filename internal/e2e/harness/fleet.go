package harness

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
)

// Fleet is several servers on one storage, without anything else in common.
type Fleet struct {
	options Options

	mu      sync.Mutex
	servers []*Server
}

// StartFleet starts n servers. The caller ends them with Stop.
func StartFleet(n int, o Options) (*Fleet, error) {
	f := &Fleet{options: o}
	for range n {
		if err := f.Add(""); err != nil {
			return nil, errors.Join(err, f.Stop())
		}
	}
	return f, nil
}

// Add starts one more server, at an address; "" is a free port.
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

// Servers are those that requests go to, the one that was added last being the last.
func (f *Fleet) Servers() []*Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.servers)
}

// Client returns a client each of whose requests goes to one of the servers, at random.
func (f *Fleet) Client() *Client {
	c := NewClient("")
	c.Route = func() string {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.servers[rand.IntN(len(f.servers))].URL()
	}
	return c
}

// Kill kills the server that has been in the fleet for the longest, sends nothing more to it, and
// returns its address.
func (f *Fleet) Kill() (string, error) {
	victim := f.Servers()[0]
	err := victim.Kill()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.servers = f.servers[1:]
	return victim.Addr, err
}

// Stop ends all servers as an operator would.
func (f *Fleet) Stop() error {
	var errs []error
	for _, s := range f.Servers() {
		errs = append(errs, s.Stop())
	}
	return errors.Join(errs...)
}
