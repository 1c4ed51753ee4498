package config_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	foreign "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/config"
	"github.com/registrykit/registry/notification/filter"
	"github.com/registrykit/registry/notification/webhook"
)

// write writes a file and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// contents returns the parts of a webhook that tests compare.
func contents(w config.Webhook) string {
	return fmt.Sprintf("%s %s %s %+v %d %v %s %d %v", w.Name, w.URL.Value(), w.Format, w.Filter, len(w.Options.Secrets),
		w.Options.Authorization.Value(), w.Options.Timeout, w.Options.MaxEvents, w.Options.AllowPrefixes)
}

// TestURLAndYAML: a URL and a file say the same.
func TestURLAndYAML(t *testing.T) {
	secrets := write(t, "secrets", "# the newest first\n"+webhook.NewSecret().Value()+"\r\n\n"+webhook.NewSecret().Value())
	token := write(t, "token", "Bearer hunter2\n")
	fromURL, err := config.ParseURL("https://ci.example/hook?a=1&b=%23#name=ci&format=harbor&actions=push,delete&"+
		"kinds=manifest,!tag&repositories=team/{a,b}/**,!team/scratch&tags=v*&media-types=application/*%2Bjson,a/b+c&"+
		"artifact-types=!x/*&actors=ann%2Cbob&no-signatures=true&no-blobs=true&sample-pulls=10&secret-file="+secrets+
		"&authorization-file="+token+"&timeout=1m30s&max-events=5&allow=10.1.0.0/16,fd00::1", nil)
	require.NoError(t, err)
	fromYAML, err := config.ParseYAML([]byte(`# two webhooks
webhooks:
- name: ci
  url: https://ci.example/hook?a=1&b=%23
  format: harbor
  actions: [push, delete]
  kinds: [manifest, "!tag"]
  repositories: ["team/{a,b}/**", "!team/scratch"]
  tags: v*
  media-types: [application/*+json, a/b+c]
  artifact-types: ["!x/*"]
  actors: ["ann,bob"]
  no-signatures: true
  no-blobs: true
  sample-pulls: 10
  secret-file: `+secrets+`
  authorization-file: `+token+`
  timeout: 1m30s
  max-events: 5
  allow: [10.1.0.0/16, fd00::1]
- url: http://other.example
  actions: all
`), nil)
	require.NoError(t, err)
	require.Len(t, fromYAML, 2)
	require.Equal(t, contents(fromURL), contents(fromYAML[0]))
	require.Equal(t, filter.Options{
		Actions: []notification.Action{"push", "delete"}, Kinds: []notification.Kind{"manifest", "!tag"},
		Repositories: []string{"team/{a,b}/**", "!team/scratch"}, Tags: []string{"v*"},
		MediaTypes: []string{"application/*+json", "a/b+c"}, ArtifactTypes: []string{"!x/*"}, Actors: []string{"ann,bob"},
		NoSignatures: true, NoBlobs: true, SamplePulls: 10,
	}, fromURL.Filter)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::1/128")},
		fromURL.Options.AllowPrefixes)
	require.Equal(t, 90*time.Second, fromURL.Options.Timeout)
	require.Len(t, fromURL.Options.Secrets, 2)
	require.Empty(t, fromYAML[1].Filter.Actions)
	require.Equal(t, "cncf", fromYAML[1].Format)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", fromURL, fromURL, fromURL), "hunter2")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", fromURL, fromURL, fromURL), "a=1")
}

// TestDefaults: without parameters, all but pulls are sent, in the format and with the secrets of
// the options.
func TestDefaults(t *testing.T) {
	secrets := write(t, "secrets", webhook.NewSecret().Value())
	opts := &config.Options{Format: "json", SecretFile: secrets, AllowPrivate: true}
	w, err := config.ParseURL("https://ci.example", opts)
	require.NoError(t, err)
	require.Equal(t, []notification.Action{"!pull"}, w.Filter.Actions)
	require.Equal(t, "json", w.Format)
	require.Len(t, w.Options.Secrets, 1)
	require.True(t, w.Options.AllowPrivate)
}

// TestDefaultName: the name depends on the URL, and not on a token in its query.
func TestDefaultName(t *testing.T) {
	names := make(map[string]bool)
	for _, u := range []string{"https://CI.example/a", "https://ci.example/b", "http://ci.example/a",
		"https://ci.example:8443/a", "https://[2001:db8::1]/", "https://bücher.example/",
		"https://" + strings.Repeat("a", 300) + ".example/", "https://-_./x", "https://ü/"} {
		w, err := config.ParseURL(u, nil)
		require.NoError(t, err, u)
		require.Regexp(t, `^[a-z0-9][a-z0-9._-]{0,63}$`, w.Name)
		require.False(t, names[w.Name], u)
		names[w.Name] = true
		again, err := config.ParseURL(u+"?key=2#no-blobs=true", nil)
		require.NoError(t, err)
		require.Equal(t, w.Name, again.Name)
	}
	require.Contains(t, names, "ci.example-d24bf361")
}

// TestSink: the filter is before the webhook, and requests are signed with the secrets of the file.
func TestSink(t *testing.T) {
	first := webhook.NewSecret()
	var got []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		verifier, verr := foreign.NewWebhook(first.Value())
		if err != nil || verr != nil || verifier.Verify(body, r.Header) != nil ||
			r.Header.Get("Authorization") != "Bearer x" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		got = append(got, r.URL.RawQuery+" "+string(body))
	}))
	t.Cleanup(receiver.Close)
	secrets := write(t, "secrets", first.Value()+"\n"+webhook.NewSecret().Value()+"\n")
	token := write(t, "token", "Bearer x")
	all, err := config.Load([]string{receiver.URL + "?q=1#format=json&repositories=team/**&secret-file=" + secrets +
		"&authorization-file=" + token}, &config.Options{AllowPrivate: true})
	require.NoError(t, err)
	sink, err := all[0].Sink()
	require.NoError(t, err)
	for _, repository := range []string{"team/app", "other/app"} {
		for _, action := range []notification.Action{notification.Push, notification.Pull} {
			require.NoError(t, sink.Notify(context.Background(), []notification.Event{{ID: notification.NewID(),
				Action: action, Kind: notification.Manifest, Repository: repository}}))
		}
	}
	require.Len(t, got, 1)
	require.True(t, strings.HasPrefix(got[0], "q=1 {"))
	require.Contains(t, got[0], `"team/app"`)

	changed := all[0]
	changed.Options.MaxEvents = -1
	_, err = changed.Sink()
	require.ErrorContains(t, err, "webhook: an option is negative")
	changed = all[0]
	changed.Filter.Tags = []string{"["}
	_, err = changed.Sink()
	require.ErrorContains(t, err, "Tags[0]")
}

// TestLoad: URLs and files together, with unique names.
func TestLoad(t *testing.T) {
	file := write(t, "webhooks.yaml", "webhooks:\n- {name: a, url: https://a.example}\n"+
		"- {name: b, url: https://b.example}\n")
	all, err := config.Load([]string{"https://c.example", file, "HTTP://d.example#name=d"}, nil)
	require.NoError(t, err)
	require.Len(t, all, 4)
	_, err = config.Load([]string{file, "https://d.example#name=b"}, nil)
	require.EqualError(t, err, `config: https://d.example: the name "b" occurs twice, first in `+file+`:3`)
	_, err = config.Load([]string{"https://d.example?a", "https://d.example?b"}, nil)
	require.ErrorContains(t, err, "occurs twice")
	all, err = config.Load(nil, nil)
	require.NoError(t, err)
	require.Empty(t, all)
	_, err = config.Load([]string{filepath.Join(t.TempDir(), "none")}, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = config.Load([]string{t.TempDir()}, nil)
	require.ErrorContains(t, err, "not a regular file")
	_, err = config.Load([]string{write(t, "w.yaml", "webhooks:\n- url: https://a.example\n  what: x\n")}, nil)
	require.ErrorContains(t, err, `w.yaml:3: "what" is not one of`)
}
