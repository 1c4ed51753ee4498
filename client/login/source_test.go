package login_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client/login"
)

// write writes a file in a folder of its own and returns its path.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// ask calls a Source. The credentials have no Expires, and the second result says whether they had.
func ask(t *testing.T, s login.Source, host string) (c login.Credentials, ends bool, err error) {
	t.Helper()
	c, err = s(t.Context(), host)
	if err != nil {
		requireNoSecrets(t, err.Error())
	}
	ends, c.Expires = !c.Expires.IsZero(), time.Time{}
	return c, ends, err
}

func TestFile(t *testing.T) {
	for content, want := range map[string]login.Credentials{
		"ann:secret":     right,
		"ann:secret\n":   right,
		"ann:secret\r\n": right,
		"ann:a:b c ":     {Username: "ann", Password: "a:b c "},
		"ann:":           {Username: "ann"},
		"":               {},
		"\n":             {},
		" {\"username\":\"ann\",\"password\":\"secret\", \"x\":1}\n": right,
		`{"identitytoken":"secret","registrytoken":null}`:            {IdentityToken: "secret"},
		`{"registrytoken":"secret"}`:                                 {RegistryToken: "secret"},
		"{}":                                                         {},
	} {
		c, _, err := ask(t, login.File(write(t, content)), "reg.test")
		require.NoError(t, err, content)
		require.Equal(t, want, c, content)
	}
	for _, content := range []string{"secret", "secret\n", "ann:secret\nbob:secret\n", `{"password":"secret"`,
		`{"password":"secret","password":"secret"}`, `{"password":["secret"]}`, `{"Password":"secret"}`,
		strings.Repeat("x:secret", 1<<20)} {
		_, _, err := ask(t, login.File(write(t, content)), "reg.test")
		require.Error(t, err, content[:min(len(content), 50)])
	}
	_, _, err := ask(t, login.File(filepath.Join(t.TempDir(), "missing")), "reg.test")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestFiles(t *testing.T) {
	username, password := write(t, "ann\n"), write(t, "secret")
	c, ends, err := ask(t, login.Files(username, password), "reg.test")
	require.NoError(t, err)
	require.True(t, ends)
	require.Equal(t, right, c)
	_, _, err = ask(t, login.Files(username, "/missing"), "reg.test")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, _, err = ask(t, login.Files("/missing", password), "reg.test")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestFileCorrected checks that a file is read again when its password was refused, and that other
// credentials that are valid, too, are noticed after a minute.
func TestFileCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := write(t, "ann:wrong")
		f := newFake()
		f.passwords()
		get := f.connect(t, login.File(path))
		require.ErrorIs(t, get("a"), registry.ErrUnauthorized)
		require.NoError(t, os.WriteFile(path, []byte("ann:secret\n"), 0o600))
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		require.NoError(t, os.WriteFile(path, []byte("bob:secret\n"), 0o600))
		require.ErrorIs(t, get("b"), registry.ErrBlobUnknown)
		require.Contains(t, strings.Join(f.take(), " "), "scope=repository:b:pull&service=reg ann:secret")
		time.Sleep(time.Minute)
		require.ErrorIs(t, get("c"), registry.ErrBlobUnknown)
		require.Contains(t, strings.Join(f.take(), " "), "scope=repository:c:pull&service=reg bob:secret")
	})
}

// encoded returns the value of the key auth in a docker configuration.
func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestDockerConfig(t *testing.T) {
	config := fmt.Sprintf(`{"credHelpers":{"other.test":""},"psFormat":"x","auths":{
		"https://index.docker.io/v1/":{"auth":%q,"identitytoken":""},
		"reg.test":{"auth":%q},
		"https://url.test/v2/":{"username":"ann","password":"secret"},
		"path.test/org":{"auth":%q},
		"Upper.test:5000":{"auth":%q},
		"token.test":{"identitytoken":"secret","auth":%q},
		"registry.test":{"registrytoken":"secret"},
		"bad.test":{"auth":"secret"},
		"bad2.test":{"auth":%q},
		"empty.test":{}
	}}`, encoded("hub:secret"), encoded("ann:secret"), encoded("ann:secret"), encoded("ann:a:b\x00\x00"),
		encoded("<token>:"), encoded("secret"))
	s := login.DockerConfig(write(t, config))
	hub := login.Credentials{Username: "hub", Password: "secret"}
	for host, want := range map[string]login.Credentials{
		"registry-1.docker.io": hub, "docker.io": hub, "index.docker.io:443": hub, "Docker.IO": hub,
		"reg.test": right, "REG.test": right, "reg.test:443": right, "url.test": right,
		"reg.test:5000": {}, "path.test": {}, "org": {}, "evil.test": {}, "": {}, "empty.test": {}, "other.test": {},
		"upper.test:5000": {Username: "ann", Password: "a:b"},
		"token.test":      {Username: "<token>", IdentityToken: "secret"},
		"registry.test":   {RegistryToken: "secret"},
	} {
		c, ends, err := ask(t, s, host)
		require.NoError(t, err, host)
		require.Equal(t, want, c, host)
		require.True(t, ends)
	}
	for _, host := range []string{"bad.test", "bad2.test"} {
		_, _, err := ask(t, s, host)
		require.ErrorContains(t, err, "malformed auth", host)
	}
	for _, content := range []string{"", "secret", `{"auths":"secret"}`, `{"auths":{"secret":1}}`,
		strings.Repeat(" ", 2<<20)} {
		_, _, err := ask(t, login.DockerConfig(write(t, content)), "reg.test")
		require.Error(t, err)
	}
	// The default place.
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "config.json"), []byte(config), 0o600))
	t.Setenv("DOCKER_CONFIG", folder)
	c, _, err := ask(t, login.DockerConfig(""), "reg.test")
	require.NoError(t, err)
	require.Equal(t, right, c)
}

// helpers writes credential helpers as shell scripts into a folder that becomes PATH.
func helpers(t *testing.T, scripts map[string]string) {
	t.Helper()
	require.FileExists(t, "/bin/sh", "credential helpers are scripts here")
	folder := t.TempDir()
	for name, script := range scripts {
		path := filepath.Join(folder, "docker-credential-"+name)
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700))
	}
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestCredentialHelpers(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	helpers(t, map[string]string{
		"good": `read -r s || true; echo "$1 $s" >>` + log + `; echo '{"ServerURL":"x","Username":"ann","Secret":"secret"}'`,
		"id":   `cat >/dev/null; echo '{"Username":"<token>","Secret":"secret"}'`,
		"none": `cat >/dev/null; echo 'credentials not found in native keychain'; exit 1`,
		"bad":  `cat >/dev/null; echo 'secret'; echo secret >&2`,
		"fail": `cat >/dev/null; echo 'secret'; exit 3`,
		"much": `cat >/dev/null; while :; do echo secretsecretsecretsecretsecretsecretsecretsecretsecretsecret; done`,
	})
	config := write(t, `{"credsStore":"none","credHelpers":{"good.test":"good","docker.io":"good","id.test":"id",
		"bad.test":"bad","fail.test":"fail","much.test":"much","missing.test":"missing","path.test":"../good",
		"abs.test":"/bin/sh","space.test":"good get"},"auths":{"reg.test":{"auth":"`+encoded("ann:secret")+`"}}}`)
	s := login.DockerConfig(config)
	for host, want := range map[string]login.Credentials{
		"good.test": right, "registry-1.docker.io": right,
		"id.test":  {Username: "<token>", IdentityToken: "secret"},
		"reg.test": right, // the store does not have it
		"x.test":   {},
	} {
		c, ends, err := ask(t, s, host)
		require.NoError(t, err, host)
		require.Equal(t, want, c, host)
		require.True(t, ends)
	}
	for host, text := range map[string]string{
		"bad.test": "malformed output", "fail.test": "exit status 3", "much.test": "wrote too much",
		"missing.test": "executable file not found", "path.test": "is not the name", "abs.test": "is not the name",
		"space.test": "is not the name",
	} {
		_, _, err := ask(t, s, host)
		require.ErrorContains(t, err, text, host)
	}
	asked, err := os.ReadFile(log)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(asked)), "\n")
	require.ElementsMatch(t, []string{"get good.test", "get https://index.docker.io/v1/"}, lines)
}

// TestCredentialHelperHangs checks that a helper ends with the context, together with a child that
// keeps its output open.
func TestCredentialHelperHangs(t *testing.T) {
	helpers(t, map[string]string{"hang": "sleep 5 & sleep 5"})
	s := login.DockerConfig(write(t, `{"credsStore":"hang"}`))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s(ctx, "reg.test")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// TestCached checks when Cached calls its Source.
func TestCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, life := 0, time.Hour
		var err error
		s := login.Cached(func(_ context.Context, host string) (login.Credentials, error) {
			calls++
			time.Sleep(time.Second)
			return login.Credentials{Username: fmt.Sprint(host, calls), Expires: time.Now().Add(life)}, err
		}, time.Minute)
		get := func(host string) string {
			c, err := s(t.Context(), host)
			require.NoError(t, err)
			return c.Username
		}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { require.Equal(t, "a1", get("a")) })
		}
		wg.Wait()
		require.Equal(t, "b2", get("b"))
		time.Sleep(50 * time.Second)
		require.Equal(t, "a1", get("a"))
		time.Sleep(10 * time.Second)
		life = 10 * time.Second
		require.Equal(t, "a3", get("a"))
		time.Sleep(7 * time.Second)
		require.Equal(t, "a3", get("a"))
		time.Sleep(2 * time.Second)
		require.Equal(t, "a4", get("a"))

		err = errors.New("stop")
		_, got := s(t.Context(), "c")
		require.ErrorIs(t, got, err)
		err = nil
		require.Equal(t, "c6", get("c"))
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() { get("d") })
		synctest.Wait()
		cancel()
		_, got = s(ctx, "d")
		require.ErrorIs(t, got, context.Canceled)
		wg.Wait()
	})
}

// TestCachedInLogin checks that a refused login does not make Cached forget what it has just got.
func TestCachedInLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake(), &changing{c: wrong}
		f.passwords()
		get := f.connect(t, login.Cached(s.source, 10*time.Second))
		for range 10 {
			require.ErrorIs(t, get("a"), registry.ErrUnauthorized)
		}
		require.Equal(t, 1, s.took())
		s.set(right, nil)
		time.Sleep(10 * time.Second)
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
	})
}
