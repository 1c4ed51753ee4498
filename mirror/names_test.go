package mirror_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/memory"
)

// newMirror returns a mirror over an empty store in memory.
func newNamed(t *testing.T, upstreams []mirror.Upstream, opts *mirror.Options) (*mirror.Mirror, error) {
	t.Helper()
	return mirror.New(t.Context(), registrytest.NewStore(t), memory.New(nil), upstreams, opts)
}

// several are upstreams with all kinds of names. Nobody listens at their URLs.
func several() []mirror.Upstream {
	return []mirror.Upstream{
		{Name: "docker.io", URLs: []string{"https://registry-1.docker.io"}, Hosts: []string{"hub.mirror.example"}},
		{Name: "GHCR.io", URLs: []string{"https://ghcr.io"}, Prefix: "ghcr", Hosts: []string{"ghcr.mirror.example:5000"}},
		{Name: "registry.example:5000", URLs: []string{"https://registry.example:5000"}, Prefix: "company/registry"},
		{Name: "plain.example:80", URLs: []string{"http://plain.example"}, Prefix: "plain.example"},
		{Name: "near.example", URLs: []string{"http://127.0.0.1:5000"}},
		{Name: "quay.io", URLs: []string{"https://quay.io"}, Aliases: []string{"quay.example", "q.example:8443"}},
	}
}

func TestResolve(t *testing.T) {
	long := strings.Repeat("a", 240)
	m, err := newNamed(t, several(), &mirror.Options{Pseudonym: "mirror-1"})
	require.NoError(t, err)
	root, err := newNamed(t, several(), &mirror.Options{Root: "docker.io", Local: []string{"team/**", "tool"}})
	require.NoError(t, err)
	for name, row := range map[string]struct {
		m              *mirror.Mirror
		path, ns, host string
		write          bool
		want           string
		err            *registry.Error
	}{
		"ns":                       {m: m, path: "acme/app", ns: "docker.io", want: "docker.io/acme/app"},
		"ns, library":              {m: m, path: "alpine", ns: "docker.io", want: "docker.io/library/alpine"},
		"ns, no library":           {m: m, path: "alpine", ns: "quay.io", want: "quay.io/alpine"},
		"ns, alias":                {m: m, path: "library/alpine", ns: "index.docker.io", want: "docker.io/library/alpine"},
		"ns, other alias":          {m: m, path: "library/x", ns: "registry-1.docker.io", want: "docker.io/library/x"},
		"ns, own alias":            {m: m, path: "a/b", ns: "quay.example", want: "quay.io/a/b"},
		"ns, alias with a port":    {m: m, path: "a/b", ns: "q.example:8443", want: "quay.io/a/b"},
		"ns, upper case":           {m: m, path: "a/b", ns: "Quay.IO", want: "quay.io/a/b"},
		"ns, configured in upper":  {m: m, path: "a/b", ns: "ghcr.io", want: "ghcr/a/b"},
		"ns, default port":         {m: m, path: "a/b", ns: "quay.io:443", want: "quay.io/a/b"},
		"ns, port of http":         {m: m, path: "a/b", ns: "quay.io:80", err: registry.ErrNameUnknown},
		"ns, URL of http":          {m: m, path: "a/b", ns: "near.example:443", want: "near.example/a/b"},
		"ns, URL of http, http":    {m: m, path: "a/b", ns: "near.example:80", want: "near.example/a/b"},
		"ns, without default port": {m: m, path: "a/b", ns: "plain.example", want: "plain.example/a/b"},
		"ns, port":                 {m: m, path: "a/b", ns: "registry.example:5000", want: "company/registry/a/b"},
		"ns, port missing":         {m: m, path: "a/b", ns: "registry.example", err: registry.ErrNameUnknown},
		"ns, other port":           {m: m, path: "a/b", ns: "registry.example:5001", err: registry.ErrNameUnknown},
		"ns, unknown":              {m: m, path: "a/b", ns: "evil.example", err: registry.ErrNameUnknown},
		"ns, unknown, Root":        {m: root, path: "a/b", ns: "evil.example", err: registry.ErrNameUnknown},
		"ns, the mirror's host":    {m: m, path: "a/b", ns: "hub.mirror.example", err: registry.ErrNameUnknown},
		"ns, local name":           {m: root, path: "team/x", ns: "quay.io", want: "quay.io/team/x"},
		"ns, push":                 {m: m, path: "a/b", ns: "quay.io", write: true, err: registry.ErrNameInvalid},
		"ns, push, unknown":        {m: m, path: "a/b", ns: "evil.example", write: true, err: registry.ErrNameInvalid},
		"ns and prefix":            {m: m, path: "docker.io/library/x", ns: "docker.io", want: "docker.io/library/x"},
		"ns and prefix, library":   {m: m, path: "docker.io/x", ns: "docker.io", want: "docker.io/library/x"},
		"ns and prefix of alias":   {m: m, path: "index.docker.io/x", ns: "docker.io", want: "docker.io/library/x"},
		"alias and prefix":         {m: m, path: "docker.io/x", ns: "index.docker.io", want: "docker.io/library/x"},
		"ns and other prefix":      {m: m, path: "docker.io/library/x", ns: "quay.io", err: registry.ErrNameInvalid},
		"ns and other alias":       {m: m, path: "quay.example/a/x", ns: "docker.io", err: registry.ErrNameInvalid},
		"ns and own short prefix":  {m: m, path: "ghcr/a/x", ns: "ghcr.io", want: "ghcr/a/x"},
		"ns and short prefix":      {m: m, path: "ghcr/a/x", ns: "quay.io", want: "quay.io/ghcr/a/x"},
		"ns and k3s rewrite":       {m: m, path: "proxy/library/x", ns: "docker.io", want: "docker.io/proxy/library/x"},
		"ns and deep prefix": {
			m: m, path: "company/registry/a", ns: "registry.example:5000", want: "company/registry/a",
		},

		"prefix":                     {m: m, path: "docker.io/library/alpine", want: "docker.io/library/alpine"},
		"prefix, library":            {m: m, path: "docker.io/alpine", want: "docker.io/library/alpine"},
		"prefix, alias":              {m: m, path: "index.docker.io/acme/app", want: "docker.io/acme/app"},
		"prefix, push":               {m: m, path: "docker.io/acme/app", write: true, want: "docker.io/acme/app"},
		"prefix of two parts":        {m: m, path: "company/registry/x", want: "company/registry/x"},
		"half of a prefix":           {m: m, path: "company/other/x", want: "company/other/x"},
		"longer than a prefix":       {m: m, path: "docker.iox/a", want: "docker.iox/a"},
		"prefix alone":               {m: m, path: "docker.io", want: "docker.io"},
		"name instead of the prefix": {m: m, path: "ghcr.io/a/x", want: "ghcr/a/x"},
		"prefix, Root":               {m: root, path: "quay.io/a/x", want: "quay.io/a/x"},
		"prefix twice":               {m: m, path: "docker.io/docker.io/x", want: "docker.io/docker.io/x"},

		"host":                  {m: m, path: "acme/app", host: "hub.mirror.example", want: "docker.io/acme/app"},
		"host, library":         {m: m, path: "alpine", host: "hub.mirror.example", want: "docker.io/library/alpine"},
		"host, any port":        {m: m, path: "a/b", host: "Hub.Mirror.Example:8080", want: "docker.io/a/b"},
		"host with a port":      {m: m, path: "a/b", host: "ghcr.mirror.example:5000", want: "ghcr/a/b"},
		"host, another port":    {m: m, path: "a/b", host: "ghcr.mirror.example:5001", want: "a/b"},
		"host, another":         {m: m, path: "a/b", host: "mirror.example", want: "a/b"},
		"host, IPv6":            {m: m, path: "a/b", host: "[::1]:5000", want: "a/b"},
		"host and prefix":       {m: m, path: "docker.io/a/b", host: "hub.mirror.example", want: "docker.io/a/b"},
		"host and other prefix": {m: m, path: "quay.io/a/b", host: "hub.mirror.example", err: registry.ErrNameInvalid},
		"host and ns":           {m: m, path: "a/b", ns: "docker.io", host: "hub.mirror.example", want: "docker.io/a/b"},
		"host and other ns":     {m: m, path: "a/b", ns: "quay.io", host: "hub.mirror.example", err: registry.ErrNameInvalid},
		"host, push":            {m: m, path: "a/b", host: "hub.mirror.example", write: true, want: "docker.io/a/b"},

		"no Root":            {m: m, path: "library/alpine", want: "library/alpine"},
		"Root":               {m: root, path: "library/alpine", want: "docker.io/library/alpine"},
		"Root, library":      {m: root, path: "alpine", want: "docker.io/library/alpine"},
		"Root, Local":        {m: root, path: "team/app", want: "team/app"},
		"Root, Local, exact": {m: root, path: "tool", want: "tool"},
		"Root, push":         {m: root, path: "acme/app", write: true, want: "docker.io/acme/app"},
		"Root, Local, push":  {m: root, path: "team/app", write: true, want: "team/app"},

		"too long with the prefix": {m: m, path: long + "/b", ns: "docker.io", want: "docker.io/" + long + "/b"},
		"longer":                   {m: m, path: long + "/bcdefghijk", ns: "docker.io", err: registry.ErrNameInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			q := registry.NameQuery{Repository: row.path, Namespace: row.ns, Write: row.write}
			if row.host != "" {
				q.Request = &http.Request{Host: row.host, Header: http.Header{}}
			}
			got, err := row.m.Resolve(q)
			if row.err != nil {
				require.ErrorIs(t, err, row.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.want, got)
		})
	}
}

func TestResolveRefusesLoops(t *testing.T) {
	m, err := newNamed(t, several(), &mirror.Options{Pseudonym: "mirror-1"})
	require.NoError(t, err)
	for via, loop := range map[string]bool{
		"":                                      false,
		"1.1 mirror-1":                          true,
		"1.1 proxy, 1.1 mirror-1":               true,
		"HTTP/1.1 mirror-1 (registry), 2 proxy": true,
		"1.1 mirror-2":                          false,
		"1.1 mirror-11":                         false,
	} {
		q := registry.NameQuery{Repository: "docker.io/a/b", Request: &http.Request{Header: http.Header{"Via": {via}}}}
		_, err := m.Resolve(q)
		require.Equal(t, loop, err != nil, via)
		if loop {
			require.ErrorIs(t, err, mirror.ErrLoop)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	ok := mirror.Upstream{Name: "docker.io", URLs: []string{"https://registry-1.docker.io"}}
	with := func(change func(u *mirror.Upstream)) []mirror.Upstream {
		u := ok
		u.URLs = slices.Clone(ok.URLs)
		change(&u)
		return []mirror.Upstream{u}
	}
	two := func(change func(u *mirror.Upstream)) []mirror.Upstream {
		u := mirror.Upstream{Name: "quay.io", URLs: []string{"https://quay.io"}}
		change(&u)
		return []mirror.Upstream{ok, u}
	}
	for name, row := range map[string]struct {
		upstreams []mirror.Upstream
		opts      *mirror.Options
		want      string
	}{
		"no name":          {with(func(u *mirror.Upstream) { u.Name = "" }), nil, "no name"},
		"scheme in name":   {with(func(u *mirror.Upstream) { u.Name = "https://docker.io" }), nil, "not a host"},
		"path in name":     {with(func(u *mirror.Upstream) { u.Name = "docker.io/library" }), nil, "not a host"},
		"user in name":     {with(func(u *mirror.Upstream) { u.Name = "me@docker.io" }), nil, "not a host"},
		"bad port":         {with(func(u *mirror.Upstream) { u.Name = "docker.io:x" }), nil, "not a host"},
		"bad alias":        {with(func(u *mirror.Upstream) { u.Aliases = []string{"a b"} }), nil, "not a host"},
		"bad host":         {with(func(u *mirror.Upstream) { u.Hosts = []string{""} }), nil, "not a host"},
		"port, no prefix":  {with(func(u *mirror.Upstream) { u.Name = "x.example:5000" }), nil, "needs a prefix"},
		"bad prefix":       {with(func(u *mirror.Upstream) { u.Prefix = "A" }), nil, "prefix"},
		"bad library":      {with(func(u *mirror.Upstream) { u.Library = "-" }), nil, "library"},
		"no URL":           {with(func(u *mirror.Upstream) { u.URLs = nil }), nil, "no URL"},
		"ftp":              {with(func(u *mirror.Upstream) { u.URLs = []string{"ftp://x"} }), nil, "not http or https"},
		"no scheme":        {with(func(u *mirror.Upstream) { u.URLs = []string{"docker.io"} }), nil, "not http or https"},
		"password":         {with(func(u *mirror.Upstream) { u.URLs[0] = "https://a:secret@x" }), nil, "neither credentials"},
		"bad allow":        {with(func(u *mirror.Upstream) { u.Allow = []string{"[a"} }), nil, "allow"},
		"bad deny":         {with(func(u *mirror.Upstream) { u.Deny = []string{"a:[b"} }), nil, "deny"},
		"empty tag":        {with(func(u *mirror.Upstream) { u.Deny = []string{"a:"} }), nil, "deny"},
		"bad TTL":          {with(func(u *mirror.Upstream) { u.TagTTLs = []mirror.TagTTL{{Pattern: "{"}} }), nil, "tag TTL"},
		"bad platform":     {with(func(u *mirror.Upstream) { u.Platforms = []string{"linux"} }), nil, "platform"},
		"negative size":    {with(func(u *mirror.Upstream) { u.MaxBlobSize = -1 }), nil, "negative"},
		"negative age":     {with(func(u *mirror.Upstream) { u.MinAge = -1 }), nil, "negative"},
		"same name":        {two(func(u *mirror.Upstream) { u.Name = "Docker.io" }), nil, "is that of docker.io"},
		"same alias":       {two(func(u *mirror.Upstream) { u.Aliases = []string{"index.docker.io"} }), nil, "is that of"},
		"same prefix":      {two(func(u *mirror.Upstream) { u.Prefix = "docker.io" }), nil, "is that of docker.io"},
		"prefix is alias":  {two(func(u *mirror.Upstream) { u.Prefix = "index.docker.io" }), nil, "is that of docker.io"},
		"prefix in prefix": {two(func(u *mirror.Upstream) { u.Prefix = "docker.io/quay" }), nil, "below the prefix"},
		"unknown root":     {with(func(*mirror.Upstream) {}), &mirror.Options{Root: "quay.io"}, "root"},
		"bad local":        {with(func(*mirror.Upstream) {}), &mirror.Options{Local: []string{"["}}, "local"},
		"bad pseudonym":    {with(func(*mirror.Upstream) {}), &mirror.Options{Pseudonym: "a b"}, "pseudonym"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newNamed(t, row.upstreams, row.opts)
			require.ErrorContains(t, err, row.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
	_, err := newNamed(t, []mirror.Upstream{ok}, &mirror.Options{Root: "index.docker.io"})
	require.NoError(t, err)
	_, err = newNamed(t, nil, nil)
	require.NoError(t, err)
}

// TestReplicasShareAPseudonym: a request that one replica has caused is a loop for all.
func TestReplicasShareAPseudonym(t *testing.T) {
	d := memory.New(nil)
	store := registrytest.NewStore(t)
	a, err := mirror.New(t.Context(), store, d, several(), nil)
	require.NoError(t, err)
	b, err := mirror.New(t.Context(), store, d, several(), nil)
	require.NoError(t, err)
	require.Equal(t, mirror.PseudonymOf(a), mirror.PseudonymOf(b))
	require.Greater(t, len(mirror.PseudonymOf(a)), 20)
}
