package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification/config"
	"github.com/registrykit/registry/notification/webhook"
)

// TestYAMLErrors: each mistake is reported with its line.
func TestYAMLErrors(t *testing.T) {
	hook := func(change string) string {
		return "webhooks:\n- url: https://ci.example/hook?key=hunter2\n  name: ci\n  " + change + "\n"
	}
	good, bad := webhook.NewSecret().Value(), "whsec_hunter2"
	secrets := write(t, "secrets", "# x\n\n"+good+"\n"+bad+"\n")
	for _, c := range []struct {
		text string
		line int
		want string
	}{
		{"", 1, "empty"}, {"webhooks:\n", 1, "no list"}, {"webhooks: {}\n", 1, "no list"}, {"hooks: []\n", 1, "not one of"},
		{"webhooks:\n- x\n", 2, "fields"}, {"webhooks:\n- name: x\n", 2, "without a URL"},
		{"webhooks:\n- url:\n", 2, "empty"}, {"webhooks:\n- url: ''\n", 2, "empty"},
		{"webhooks:\n- name: x\n  url: ftp://hunter2\n", 3, "https://"},
		{"webhooks:\n- url: https://ann:hunter2@ci.example\n", 2, "user"},
		{"webhooks:\n- url: https://ci.example/#hunter2\n", 2, "fragment"},
		{hook("what: x"), 4, `"what" is not one of`}, {hook("name: y"), 4, "twice"},
		{hook("format: cnfc"), 4, `"cnfc" is not one of cncf`}, {hook("format: [cncf]"), 4, "text"},
		{hook("actions: [push, pul]"), 4, `"pul" is not one of`}, {hook("actions:\n  - push\n  - pul"), 6, `"pul"`},
		{hook("actions: []"), 4, "empty"}, {hook("actions: ['']"), 4, "empty"}, {hook("actions: [all, push]"), 4, `"all"`},
		{hook("kinds: layer"), 4, `"layer"`},
		{hook("repositories:\n  - a\n  - '['"), 6, "malformed"}, {hook("repositories: '{a'"), 4, "malformed"},
		{hook("repositories: *"), 4, "did not find"}, {hook("repositories: !team"), 4, "quotes"},
		{hook("tags: '" + strings.Repeat("{a,b}", 7) + "'"), 4, "alternatives"}, {hook("tags: {a: b}"), 4, "text"},
		{hook("media-types: " + strings.Repeat("a", 600)), 4, "longer"},
		{hook("no-blobs: yes"), 4, "true or false"}, {hook("no-signatures: [true]"), 4, "text"},
		{hook("sample-pulls: 0"), 4, "above zero"}, {hook("sample-pulls: x"), 4, "above zero"},
		{hook("max-events: -1"), 4, "above zero"}, {hook("max-events: +1"), 4, "above zero"},
		{hook("timeout: 20"), 4, "such as 30s"}, {hook("timeout: -1s"), 4, "above zero"},
		{hook("secret-file: secrets"), 4, "absolute"}, {hook("secret-file: /nowhere/secrets"), 4, "no such file"},
		{hook("secret-file: " + secrets), 4, "secrets:4: webhook: \"whsec_\" is not followed by base64"},
		{hook("authorization-file: token"), 4, "absolute"}, {hook("authorization-file: " + secrets), 4, "secrets:4: more"},
		{hook("authorization-file: /dev/null"), 4, "not a regular file"},
		{hook("allow: [10.0.0.0/8, 10.1.0.0/8]"), 4, `"10.0.0.0/8"`},
		{hook("allow:\n  - 10.0.0.1\n  - x"), 6, `"x" is neither`},
		{hook("allow: fe80::1%eth0"), 4, "neither"},
		{hook("tags: v1") + "- url: https://x.example\n  name: CI\n", 6, "lower-case"},
		{hook("tags: v1") + "- url: https://x.example\n  name: ci\n", 5, "occurs twice, first in line 2"},
		{hook("tags: v1") + "- url: https://x.example\n  name: " + strings.Repeat("a", 65), 6, "64"},
		{"webhooks: &a []\n", 1, "anchor"}, {"webhooks: []\n---\n", 2, "second document"},
		{strings.Repeat("#\n", config.MaxSize/2+1), config.MaxSize/2 + 1, "more than 1048576 bytes"},
	} {
		_, err := config.ParseYAML([]byte(c.text), nil)
		short := c.text[:min(len(c.text), 300)]
		require.Error(t, err, short)
		require.True(t, strings.HasPrefix(err.Error(), fmt.Sprintf("config: line %d: ", c.line)), "%s\n%v", short, err)
		require.Contains(t, err.Error(), c.want, short)
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), good[6:])
	}
}

// TestURLErrors: a mistake names the parameter, and the error does not contain the URL.
func TestURLErrors(t *testing.T) {
	const base = "https://ci.example/hunter2?key=hunter2#"
	for url, want := range map[string]string{
		base + "x=hunter2":                       `the parameter "x" is not one of`,
		base + "url=https://x":                   `"url" is not one of`,
		base + "format":                          "format: this is empty",
		base + "format=":                         "format: this is empty",
		base + "format=xml":                      "not one of cncf",
		base + "actions=push&actions=pull":       "actions: this occurs twice; commas",
		base + "actions=push,":                   "a value is empty",
		base + "tags=%zz":                        "percent-encoding",
		base + "tags=v[":                         "tags: pattern",
		base + "secret-file=relative":            "secret-file: the path of the file must be absolute",
		base + "Format=cncf":                     `"Format" is not one of`,
		base + strings.Repeat("x", 20_000):       "more than",
		"https://ann:hunter2@ci.example#tags=v1": "user",
		"https://ann:hunter2%@ci.example/":       "a webhook: url: webhook: the URL is malformed",
		"ftp://ci.example":                       "https://",
		"":                                       "without a URL",
	} {
		_, err := config.ParseURL(url, nil)
		require.ErrorContains(t, err, want, url)
		require.True(t, strings.HasPrefix(err.Error(), "config: "), err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// TestSecretFiles: a bad file is refused, with the line and without its content.
func TestSecretFiles(t *testing.T) {
	good := webhook.NewSecret().Value()
	_, public, err := webhook.NewKeyPair()
	require.NoError(t, err)
	for content, want := range map[string]string{
		"":                                ": no secret",
		"# only\n\n":                      ": no secret",
		good + "\nhunter2\n":              `:2: webhook: a secret begins with "whsec_" or "whsk_"`,
		"\n\n" + public:                   ":3: webhook: a public key cannot sign",
		good + "\n# x\n" + good:           ":3: the secret occurs twice",
		"whsec_aHVudGVyMg==":              ":1: webhook: a secret has 24 to 64 bytes, and not 7",
		strings.Repeat("#hunter2\n", 1e4): ": more than 65536 bytes",
	} {
		path := write(t, "secrets", content)
		_, err := config.ParseURL("https://ci.example", &config.Options{SecretFile: path})
		require.ErrorContains(t, err, path+want)
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), "aHVudGVy")
	}
	token := write(t, "token", "Bearer hunter2\x00\n")
	_, err = config.ParseURL("https://ci.example#authorization-file="+token, nil)
	require.ErrorContains(t, err, "authorization-file: ")
	require.NotContains(t, err.Error(), "hunter2")
}

// TestPipeIsNotOpened: a named pipe would block the start until somebody writes.
func TestPipeIsNotOpened(t *testing.T) {
	_, err := config.Load([]string{os.DevNull}, nil)
	require.ErrorContains(t, err, "not a regular file")
	_, err = config.ParseURL("https://ci.example#secret-file="+filepath.Dir(os.DevNull), nil)
	require.ErrorContains(t, err, "not a regular file")
}

// FuzzParseYAML: a text is refused with its line, or gives webhooks with different names and usable
// sinks.
func FuzzParseYAML(f *testing.F) {
	f.Add([]byte("webhooks:\n- url: https://ci.example/hook?key=hunter2\n  name: ci\n" +
		"  tags: [v*, '!v0']\n  allow: 10.0.0.0/8\n"))
	f.Add([]byte("webhooks: [{url: 'http://[::1]:1', format: json, actions: all, timeout: 1h, max-events: 3}]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		all, err := config.ParseYAML(content, nil)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "config: line ") {
				t.Fatal(err)
			}
			return
		}
		names := make(map[string]bool)
		for _, w := range all {
			if _, err := w.Sink(); err != nil || names[w.Name] {
				t.Fatal(w.Name, err)
			}
			names[w.Name] = true
		}
	})
}

// FuzzParseURL: as FuzzParseYAML.
func FuzzParseURL(f *testing.F) {
	f.Add("https://ci.example/hook?a=1#format=cncf&actions=push,delete&repositories=team/{a,b}/**,!x&timeout=3s")
	f.Fuzz(func(t *testing.T, url string) {
		w, err := config.ParseURL(url, nil)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "config: ") {
				t.Fatal(err)
			}
			return
		}
		if _, err := w.Sink(); err != nil {
			t.Fatal(err)
		}
	})
}
