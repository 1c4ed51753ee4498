package basic_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/basic"
)

func request(values ...string) *http.Request {
	return &http.Request{Header: http.Header{"Authorization": values}}
}

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestParse(t *testing.T) {
	for given, want := range map[string]basic.Login{
		"Basic " + encoded("ann:secret"):         {User: "ann", Password: "secret"},
		"bAsIc " + encoded("ann:secret"):         {User: "ann", Password: "secret"},
		"Basic   " + encoded("ann:secret") + " ": {User: "ann", Password: "secret"},
		"Basic " + encoded("ann:a:b: c"):         {User: "ann", Password: "a:b: c"},
		"Basic " + encoded("ann:"):               {User: "ann"},
		"Basic " + encoded("Ann Bö:pässwörd"):    {User: "Ann Bö", Password: "pässwörd"},
		"Basic " + encoded("ann:p\xe4ss"):        {User: "ann", Password: "p\xe4ss"},
	} {
		login, err := basic.Parse(request(given))
		require.NoError(t, err, given)
		require.Equal(t, &want, login)
	}
	login, err := basic.Parse(request())
	require.NoError(t, err)
	require.Nil(t, login)
	login, err = basic.Parse(&http.Request{Header: http.Header{"Cookie": {"Authorization=Basic " +
		encoded("ann:secret")}}})
	require.NoError(t, err)
	require.Nil(t, login, "cookies are not looked at")
}

func TestRefused(t *testing.T) {
	good := "Basic " + encoded("ann:secret")
	for _, values := range [][]string{
		{good, good}, {good, ""}, {"", good}, {""}, {"Basic"}, {"Basic "}, {"Basic :"}, {"Basic !"},
		{"Basic\t" + encoded("ann:secret")},
		{"Bearer x"}, {"Basi"}, {"BasicX " + encoded("ann:secret")}, {encoded("ann:secret")},
		{good + "=="}, {strings.TrimRight("Basic "+encoded("ann:secr"), "=")}, {good + " " + good}, {good + ", " + good},
		{good[:10] + "\n" + good[10:]},
		{"Basic " + base64.URLEncoding.EncodeToString([]byte("ann:???>>>"))},
		{"Basic YW5uOnNlY3J="}, // unused bits are set
		{"Basic " + encoded("ann")}, {"Basic " + encoded(":secret")}, {"Basic " + encoded(":")}, {"Basic " + encoded("")},
		{"Basic " + encoded("a\x00nn:secret")}, {"Basic " + encoded("ann\n:secret")},
		{"Basic " + encoded("ann:sec\x00ret")}, {"Basic " + encoded("ann:secret\x7f")},
		{"Basic " + encoded("ann:secret\r\n")}, {"Basic " + encoded(" ann:secret")}, {"Basic " + encoded("ann :secret")},
		{"Basic " + encoded(" :secret")},
		{"Basic " + encoded("a\xffn:secret")}, {"Basic " + encoded("\u202eann:secret")},
		{"Basic " + encoded("\ufeffann:secret")},
		{"Basic " + encoded(strings.Repeat("a", basic.MaxName+1)+":secret")},
		{"Basic " + encoded("ann:"+strings.Repeat("a", basic.MaxHeader))},
	} {
		login, err := basic.Parse(request(values...))
		require.ErrorIs(t, err, auth.ErrCredentials, "%q", values)
		require.Nil(t, login)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestChallenge(t *testing.T) {
	for realm, want := range map[string]string{
		"":            `Basic realm="registry"`,
		"our place":   `Basic realm="our place"`,
		`a "b" \c`:    `Basic realm="a \"b\" \\c"`,
		`x",error="y`: `Basic realm="x\",error=\"y"`,
	} {
		got, err := basic.Challenge(realm)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, realm := range []string{"a\r\nSet-Cookie: x", "ä", "\x00", "a\x7f", "a\tb"} {
		_, err := basic.Challenge(realm)
		require.Error(t, err, "%q", realm)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("Basic " + encoded("ann:secret"))
	f.Add("Basic =")
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		login, err := basic.Parse(request(value))
		if err != nil {
			require.ErrorIs(t, err, auth.ErrCredentials)
			require.Nil(t, login)
			return
		}
		require.True(t, basic.ValidName(login.User))
		again := &http.Request{Header: http.Header{}}
		again.SetBasicAuth(login.User, login.Password)
		same, err := basic.Parse(again)
		require.NoError(t, err)
		require.Equal(t, login, same)
	})
}
