package htpasswd_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/htpasswd"
)

const (
	salt = "XHvRh/EUWd3D/2aalTotcu"
	tail = "vJazgW3tbDJgxuV9aPFI9Kd5sjF4Nim"
	good = "$2y$05$" + salt + tail
)

// TestVersions: lines as another library has made them, of each name that bcrypt goes by.
func TestVersions(t *testing.T) {
	s := newSite(t, "# users\n\na:$2a$05$"+salt+tail+"\r\n  \nb:$2b$05$"+salt+tail+" \n#c:x\ny:$2y$05$"+salt+tail, "", nil)
	for _, name := range []string{"a", "b", "y"} {
		s.accepted(name, "pässwörd")
		s.refused(name, "password")
	}
	s.refused("#c", "x")
	s.refused("c", "x")
}

// TestBrokenLines: an error names the line, and shows nothing of it.
func TestBrokenLines(t *testing.T) {
	for content, want := range map[string]string{
		"ann":                                 "line 1: not NAME:HASH",
		"ann:":                                "line 1: not a bcrypt hash",
		"ann:secret":                          "line 1: not a bcrypt hash",
		":" + good:                            "line 1: invalid user name",
		" ann:" + good:                        "line 1: invalid user name",
		"ann :" + good:                        "line 1: invalid user name",
		"a\x00nn:" + good:                     "line 1: invalid user name",
		"\ufeffann:" + good:                   "line 1: invalid user name",
		"a\xffn:" + good:                      "line 1: invalid user name",
		strings.Repeat("a", 256) + ":" + good: "line 1: invalid user name",
		"# x\n\nann:" + good + "\nbob:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00": "line 4: not a bcrypt hash",
		"ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=":                              "line 1: not a bcrypt hash",
		"ann:rl.3StKT.4T8M":                                                  "line 1: not a bcrypt hash",
		"ann:$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3":                        "line 1: not a bcrypt hash",
		"ann:$2x$05$" + salt + tail:                                          "line 1: not a bcrypt hash",
		"ann:$2$05$" + salt + tail:                                           "line 1: not a bcrypt hash",
		"ann:$2y$5$" + salt + tail:                                           "line 1: not a bcrypt hash",
		"ann:$2y$05$" + salt + tail[1:]:                                      "line 1: not a bcrypt hash",
		"ann:" + good + "x":                                                  "line 1: not a bcrypt hash",
		"ann:" + good + ":comment":                                           "line 1: not a bcrypt hash",
		"ann:$2y$05$" + salt + "=" + tail[1:]:                                "line 1: not a bcrypt hash",
		"ann:$2y$03$" + salt + tail:                                          "line 1: the cost",
		"ann:$2y$18$" + salt + tail:                                          "line 1: the cost",
		"ann:$2y$99$" + salt + tail:                                          "line 1: the cost",
		"ann:" + good + "\nann:" + good:                                      "line 2: the user has an earlier line",
		"ann:" + good + "\n" + strings.Repeat("\n", 9) + "hunter2":           "line 11: not NAME:HASH",
	} {
		err := htpasswd.Parse(content)
		require.ErrorContains(t, err, want, "%q", content)
		for _, secret := range []string{salt, tail, "hunter2", "secret", "apr1", "ann"} {
			require.NotContains(t, err.Error(), secret)
		}
	}
}

func TestGroups(t *testing.T) {
	groups, err := htpasswd.ParseGroups("# groups\n\npushers: ann  bob\nreaders:\tann\r\n" +
		"pushers: ann eve\nempty:\n two words : bob\n")
	require.NoError(t, err)
	require.Equal(t, map[string][]string{
		"ann": {"pushers", "readers"}, "bob": {"pushers", "two words"}, "eve": {"pushers"},
	}, groups)
	for _, content := range []string{"pushers", "\n: ann", "a\x00: ann", "pushers: a\x00", "pushers: a:b",
		"pushers: ann:"} {
		_, err := htpasswd.ParseGroups(content)
		require.ErrorContains(t, err, "line ", "%q", content)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ann:" + good)
	f.Add("a: b c\n#\n")
	f.Fuzz(func(t *testing.T, content string) {
		if err := htpasswd.Parse(content); err != nil {
			require.ErrorContains(t, err, "line ")
		}
		if _, err := htpasswd.ParseGroups(content); err != nil {
			require.ErrorContains(t, err, "line ")
		}
	})
}
