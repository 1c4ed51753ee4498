package token_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/storage/memory"
)

// fuzzed is an endpoint without a storage that can fail.
func fuzzed(f *testing.F) *token.Service {
	s, _ := newRefreshing(f, memory.New(nil), newPeople(), nil)
	return s
}

// serve returns the response to a request, which must be no failure of the server.
func serve(t *testing.T, s *token.Service, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code >= 500 || w.Code == 200 && w.Body.Len() == 0 && !strings.HasSuffix(r.URL.Path, "/revoke") {
		t.Fatal(w.Code, w.Body)
	}
	return w
}

// FuzzForm: no form causes a failure, and only the right password gives a token.
func FuzzForm(f *testing.F) {
	s := fuzzed(f)
	for _, form := range []string{
		"", "grant_type=password&username=ann&password=secret&scope=repository:a:pull&access_type=offline",
		"grant_type=refresh_token&refresh_token=" + login(f, s), "grant_type=password&username=ann:&password=x",
		"grant_type=refresh_token&refresh_token=rkf_x&scope=a:b:c+d:e:f", "%", "a=b;c=d", "service=x&service=y", "token=x",
	} {
		f.Add(form, "application/x-www-form-urlencoded", "")
		f.Add(form, "application/json", "/revoke")
	}
	f.Fuzz(func(t *testing.T, form, kind, suffix string) {
		path := "/v2/token"
		if suffix != "" {
			path += "/revoke"
		}
		r := httptest.NewRequest("POST", path, io.NopCloser(strings.NewReader(form)))
		r.Header = http.Header{"Content-Type": {kind}}
		w := serve(t, s, r)
		if w.Code == 200 && suffix == "" {
			require.True(t, strings.Contains(form, "secret") || strings.Contains(form, "%") || strings.Contains(form, "rkf_") ||
				strings.Contains(form, "pw"), form)
		}
	})
}

// FuzzRefreshToken: no text but a token that was issued is one.
func FuzzRefreshToken(f *testing.F) {
	s := fuzzed(f)
	value := login(f, s)
	f.Add(value, 0, byte('a'))
	f.Add("rkf_", 3, byte('/'))
	f.Add(strings.Repeat("a", 83), 50, byte('.'))
	f.Fuzz(func(t *testing.T, text string, i int, c byte) {
		changed := []byte(value)
		changed[uint(i)%uint(len(value))] = c
		for _, text := range []string{text, string(changed)} {
			status, _ := refresh(t, s, text)
			require.Equal(t, text == value, status == 200, "%q", text)
		}
	})
}

// FuzzBearer: no text but a token that was issued is accepted.
func FuzzBearer(f *testing.F) {
	s := fuzzed(f)
	_, a := ask(f, s, "GET", "/v2/token", nil, basic("ann", "secret"))
	f.Add(a.Token, 0, byte('a'))
	f.Add("..", 5, byte('.'))
	f.Add("e30.e30.e30", 5, byte('='))
	f.Fuzz(func(t *testing.T, text string, i int, c byte) {
		changed := []byte(a.Token)
		changed[uint(i)%uint(len(changed))] = c
		for _, text := range []string{text, string(changed)} {
			r := httptest.NewRequest("GET", "/v2/", nil)
			r.Header = http.Header{"Authorization": {"Bearer " + text}}
			_, err := s.Authenticate(r)
			require.Equal(t, strings.TrimLeft(text, " ") == a.Token, err == nil, "%q", text)
			s.Challenge(r, nil)
		}
	})
}
