package page

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/demosite"
)

var (
	full  = flag.Bool("full", false, "run the long form of the tests")
	shots = flag.String("shots", "", "write screenshots of every view into this folder")
)

// site is a site with data, and a server for each caller.
type site struct {
	*demosite.Site
	data demosite.Data
	urls map[string]string // by the name of the caller, "" for anonymous ones
	// views are the pages of a crawl, see all.
	views []*view
}

// callers are the callers of a site, in the order in which they look for views.
var callers = []string{demosite.Boss, demosite.Ann, demosite.Bob, demosite.Cleo, ""}

// sites are the sites of the tests, which they share.
var sites = struct {
	sync.Mutex
	made map[demosite.Data]*site
}{made: map[demosite.Data]*site{}}

// newSite returns a site with data. Tests that change it make one of their own.
func newSite(t *testing.T, data demosite.Data) *site {
	t.Helper()
	sites.Lock()
	defer sites.Unlock()
	if s := sites.made[data]; s != nil {
		return s
	}
	s, err := startSite(data)
	require.NoError(t, err)
	sites.made[data] = s
	return s
}

// startSite starts a site, which ends with the process.
func startSite(data demosite.Data) (*site, error) {
	made, err := demosite.New(context.Background(), data, nil)
	if err != nil {
		return nil, err
	}
	s := &site{Site: made, data: data, urls: map[string]string{"": httptest.NewServer(made).URL}}
	for _, name := range callers {
		if name != "" && (data != demosite.Empty || name == demosite.Boss) {
			s.urls[name] = httptest.NewServer(made.As(name)).URL
		}
	}
	return s, nil
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	for _, s := range sites.made {
		s.Close()
	}
	stopBrowser()
	if code != 0 {
		fmt.Fprintln(os.Stderr, "make page runs these tests")
	}
	os.Exit(code)
}
