package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/mirror/config"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// TestErrors: each mistake is reported with its line.
func TestErrors(t *testing.T) {
	up := func(change string) string {
		return "upstreams:\n- name: a.example\n  urls: https://a.example\n  " + change + "\n"
	}
	top := func(change string) string {
		return change + "\nupstreams: [{name: a.example, urls: https://a.example}]\n"
	}
	two := func(first, second string) string {
		return fmt.Sprintf("upstreams:\n- {urls: https://a.example, %s}\n- {urls: https://a.example, %s}\n", first, second)
	}
	for _, c := range []struct {
		text string
		line int
		want string
	}{
		{"", 1, "no upstreams"}, {"upstreams: []\n", 1, "no upstreams"}, {"upstreams: {}\n", 1, "must be a list"},
		{"upstreams:\n- x\n", 2, "must have fields"}, {"upstream: []\n", 1, `"upstream" is not one of ["upstreams" "root"`},
		{"upstreams:\n- name: a.example\n", 2, "needs name and urls"},
		{"upstreams:\n- urls: https://a.example\n", 2, "needs name and urls"},
		{up("what: x"), 4, `"what" is not one of`}, {up("name: b"), 4, "occurs twice"},
		{up("password: hunter2"), 4, "not one of"},
		{up("library:"), 4, "empty"}, {up("library: ''"), 4, "library: this is empty"}, {up("library: [x]"), 4, "text"},
		{up("library: X"), 4, "upper-case"}, {up("prefix: a//b"), 4, "misplaced"}, {up("prefix: a:b"), 4, "not allowed"},
		{up("aliases: []"), 4, "aliases: this is empty"}, {up("aliases: [b, a b]"), 4, `"a b" is not a host`},
		{up("aliases: https://b"), 4, "not a host"}, {up("hosts: [x/y]"), 4, "not a host"},
		{up("hosts: u@x"), 4, "not a host"},
		{up("hosts: x:70000"), 4, "not a host"}, {up("hosts: x:0"), 4, "not a host"}, {up("hosts: -x"), 4, "not a host"},
		{up("hosts: " + strings.Repeat("a", 256)), 4, "not a host"},
		{"upstreams:\n- name: a:5000\n  urls: https://a:5000\n", 2, "needs the key prefix"},
		{"upstreams:\n- name: a\n  urls: a.example\n", 3, "such as https://registry.example"},
		{"upstreams:\n- name: a\n  urls:\n  - https://a\n  - ftp://a\n", 5, "such as https://"},
		{"upstreams:\n- name: a\n  urls: https://u:hunter2@a\n", 3, "without user"},
		{"upstreams:\n- name: a\n  urls: https://a/?x=hunter2\n", 3, "without user and query"},
		{"upstreams:\n- name: a\n  urls: https://${HOST}\n", 3, "variables"},
		{"upstreams:\n- name: a\n  urls: https://a/v2/\n", 3, "leave it out"},
		{"upstreams:\n- name: a\n  urls: https://a/v2/x\n", 3, "leave it out"},
		{"upstreams:\n- name: a\n  urls: https://a/x/v2\n", 3, "leave it out"},
		{up("usernameFile: u"), 2, "need each other"}, {up("passwordFile: p"), 2, "need each other"},
		{up("usernameFile: u\n  passwordFile: p\n  dockerConfig: d"), 2, "excludes"},
		{up("passThrough: true\n  dockerConfig: d"), 2, "no credentials of its own"},
		{up("passThrough: yes"), 4, "true or false"}, {up("proof: 1m"), 2, "proof is for passThrough"},
		{up("realms: ['*.com']"), 4, "not a domain"}, {up("realms: https://auth.example"), 4, "not a host"},
		{up("proxy: proxy.example"), 4, `or "none"`}, {up("proxy: ftp://proxy"), 4, "scheme"},
		{up("proxy: http://u:hunter2@proxy"), 4, "HTTPS_PROXY"}, {up("proxy: http://proxy/x"), 4, "such as"},
		{up("ca: nowhere.pem"), 2, "no such file"}, {up("ca: " + os.DevNull), 2, "not a regular file"},
		{up("ca: config_test.go"), 2, "no certificate in PEM"}, {up("clientKey: x"), 2, "needs clientCert"},
		{up("clientCert: config_test.go"), 2, "PEM"},
		{up("tagTTL: 10"), 4, "such as 90s"}, {up("tagTTL: -1s"), 4, "such as 90s"}, {up("tagTTL: 1.5d"), 4, "such as"},
		{up("tagTTL: Forever"), 4, "such as"}, {up("deletedGrace: forever"), 4, "such as"},
		{up("tagTTLs: []"), 4, "must be a list"}, {up("tagTTLs:\n  - pattern: x"), 5, "needs pattern and ttl"},
		{up("tagTTLs:\n  - {pattern: x, ttl: 1m}\n  - {pattern: x, tll: 1m}"), 6, `"tll" is not one of`},
		{up("tagTTLs:\n  - pattern: '['\n    ttl: 1m"), 5, "malformed"},
		{up("keepDeleted: true\n  deletedGrace: 1h"), 2, "no effect"},
		{up("allow:\n  - a\n  - '['"), 6, "malformed"}, {up("allow: '!a'"), 4, "no exceptions"},
		{up("deny: 'a:b:c'"), 4, "malformed"}, {up("deny: *"), 4, "did not find"},
		{up("deny: Acme/**"), 4, "upper-case"}, {up("deny: ['[A-Z]cme/**:V1', '**/X']"), 4, "upper-case"},
		{up("deny:\n  - acme/x\n  - a.example/acme/**"), 6, `leave out "a.example/"`},
		{up("tagTTLs:\n  - {pattern: X, ttl: 1m}"), 5, "upper-case"}, {top("local: ['!Local/**']"), 1, "upper-case"},
		{up("platforms: linux"), 4, "such as linux/amd64"},
		{up("maxBlobSize: 10GB"), 4, "such as"}, {up("maxBlobSize: 0"), 4, "above zero"},
		{up("timeout: 0s"), 4, "above zero"}, {up("requests: 0"), 4, "above zero"}, {up("requests: 1e3"), 4, "above zero"},
		{top("root: b.example"), 1, `no upstream has the name "b.example"`}, {top("root: x/y"), 1, "not a host"},
		{top("local: ['a', '']"), 1, "empty"}, {top("maxSize: big"), 1, "such as"}, {top("interval: 0s"), 1, "above zero"},
		{top("offline: 1"), 1, "true or false"},
		{top("pseudonym: 'a b'"), 1, "not a host"},
		{top("admitWait: x"), 1, "such as"},
		{two("name: a", "name: A"), 3, `the name "a" occurs twice, first in line 2`},
		{two("name: a", "name: b, aliases: a"), 3, `the alias "a" occurs twice`},
		{two("name: a", "name: b, prefix: a"), 3, `the prefix "a" occurs twice`},
		{two("name: a, prefix: b/x/y", "name: b"), 2, `the prefix "b/x/y" is below the name "b"`},
		{top("local: 'a:b'"), 1, "colon"}, {top("local: '['"), 1, "malformed"},
		{two("name: a, aliases: [x, x]", "name: b"), 2, `the alias "x" occurs twice`},
		{two("name: docker.io", "name: b, aliases: registry-1.docker.io"), 3, "occurs twice"},
		{two("name: a, hosts: x", "name: b, hosts: X"), 3, `the host "x" occurs twice, first in line 2`},
		{"upstreams: &a []\n", 1, "anchor"}, {up("library: x") + "---\n", 5, "second document"},
		{strings.Repeat("#\n", config.MaxSize/2+1), config.MaxSize/2 + 1, "more than 1048576 bytes"},
	} {
		_, err := config.Parse([]byte(c.text))
		require.ErrorContains(t, err, fmt.Sprintf("config: line %d: ", c.line), "%s", c.text)
		require.ErrorContains(t, err, c.want, "%s", c.text)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// TestLoadErrors: errors have the path of the file.
func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := config.Load(filepath.Join(dir, "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = config.Load(dir)
	require.ErrorContains(t, err, "not a regular file")
	path := write(t, dir, "mirror.yaml", "upstreams:\n- what: x\n")
	_, err = config.Load(path)
	require.ErrorContains(t, err, "config: "+path+`:2: "what" is not one of`)
}

// FuzzParse: a text is refused with its line, or mirror.New accepts the result.
func FuzzParse(f *testing.F) {
	f.Add([]byte(every))
	f.Add([]byte("upstreams: [{name: docker.io, urls: 'http://[::1]:1', proxy: none, " +
		"tagTTLs: [{pattern: '*:v*', ttl: 1d}]}]"))
	f.Add([]byte("root: b:1\nupstreams: [{name: 'b:1', prefix: x/y, urls: https://b}, {name: c, urls: https://c}]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := config.Parse(content)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "config: line ") {
				t.Fatal(err)
			}
			return
		}
		d := memory.New(nil)
		store, err := storage.New(t.Context(), d, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mirror.New(t.Context(), store, d, c.Upstreams, &c.Options); err != nil {
			t.Fatal(err)
		}
	})
}
