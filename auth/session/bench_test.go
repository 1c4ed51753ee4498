package session_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/storage/disk"
)

// BenchmarkAuthenticate is a request with a session on disk, which is remembered or must be read.
func BenchmarkAuthenticate(b *testing.B) {
	for name, refresh := range map[string]time.Duration{"remembered": time.Minute, "read": 1} {
		b.Run(name, func(b *testing.B) {
			d, err := disk.New(b.TempDir(), nil)
			require.NoError(b, err)
			people, err := accounts.New(d, nil)
			require.NoError(b, err)
			sessions, err := session.New(d, people, &session.Options{Refresh: refresh})
			require.NoError(b, err)
			ann, err := people.CreateUser(b.Context(), accounts.Actor{}, "ann", "", nil)
			require.NoError(b, err)
			_, value, err := sessions.Issue(httptest.NewRequest(http.MethodPost, "/", nil), session.Login{Account: ann.ID})
			require.NoError(b, err)
			r, who := httptest.NewRequest(http.MethodGet, "/", nil), sessions.Authenticator(nil)
			r.Header.Set("Authorization", "Bearer "+value.Value())
			for b.Loop() {
				if _, err := who.Authenticate(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkList lists the three sessions of a user among those of many others, on disk.
func BenchmarkList(b *testing.B) {
	for _, others := range []int{10, 10_000} {
		b.Run(fmt.Sprint(others), func(b *testing.B) {
			d, err := disk.New(b.TempDir(), &disk.Options{NoSync: true})
			require.NoError(b, err)
			people, err := accounts.New(d, nil)
			require.NoError(b, err)
			sessions, err := session.New(d, people, nil)
			require.NoError(b, err)
			var ids []accounts.ID
			for i := range max(others/50, 1) {
				user, err := people.CreateUser(b.Context(), accounts.Actor{}, fmt.Sprint("user", i), "", nil)
				require.NoError(b, err)
				ids = append(ids, user.ID)
			}
			ann, err := people.CreateUser(b.Context(), accounts.Actor{}, "ann", "", nil)
			require.NoError(b, err)
			for i := range others + 3 {
				l := session.Login{Account: ann.ID}
				if i < others {
					l.Account = ids[i%len(ids)]
				}
				_, _, err := sessions.Issue(httptest.NewRequest(http.MethodPost, "/", nil), l)
				require.NoError(b, err)
			}
			for b.Loop() {
				n := 0
				for _, err := range sessions.List(b.Context(), ann.ID, "") {
					require.NoError(b, err)
					n++
				}
				require.Equal(b, 3, n)
			}
		})
	}
}
