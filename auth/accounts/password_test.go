package accounts_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

func TestCheckNewPassword(t *testing.T) {
	a := newAccounts(t, memory.New(nil), &accounts.Options{
		Blocked: func(p string) bool { return p == "leaked leek soup" }})
	for _, p := range []string{
		password, "correct horse battery staple", "Grüße aus Köln!!",
		"パスワードは十五文字以上にする", "pX9!rT2@wQ7#zK4",
		strings.Repeat("ab cd ef gh ij kl mn op qr st uv wx yz ", 26)[:1000] + "x", "тетрадь и зонтик",
	} {
		require.NoError(t, a.CheckNewPassword("ann-lee", p), p)
	}
	for _, p := range []string{
		"", "short", "fourteen chars", "éééééééééééééé", // 14 characters of 28 bytes
		strings.Repeat("long ", 205) + "x", "tab\tin the password", "null\x00in the password", "bad utf8 \xff password",
		"aaaaaaaaaaaaaaaaaaaa", "123456789012345", "abcdefghijklmnop", "zyxwvutsrqponmlk", "qwertyuiopasdfgh",
		"passwordpassword", "Password-Password-1", "password1234567", "monkeydragon123", "ann-lee-ann-lee-1",
		"AnnLeeAnnLeeAnnLee", "abcabcabcabcabcabc", "xqxqxqxqxqxqxqxq", "leaked leek soup", "1q2w3e4r5t6y7u8i",
		"letmeinletmeinplease"[:14] + "1", "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl",
	} {
		require.ErrorIs(t, a.CheckNewPassword("ann-lee", p), accounts.ErrInvalid, p)
	}
}

func TestPeriod(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a": "a", "aa": "a", "abab": "ab", "ababa": "ab", "abcab": "abcab", "abcabca": "abc", "aaab": "aaab",
	} {
		require.Equal(t, want, accounts.Period(text), text)
	}
}

// FuzzPassword checks that a password that is accepted logs in, whatever it contains, and that
// errors do not repeat it.
func FuzzPassword(f *testing.F) {
	for _, p := range []string{
		password, "é", "e\u0301 composed marmot", "\xff", "\u202e tluafed eht", strings.Repeat("x", 1025), "ﬁ",
	} {
		f.Add("ann", p)
	}
	a := newAccounts(f, memory.New(nil), nil)
	f.Fuzz(func(t *testing.T, name, p string) {
		err := a.CheckNewPassword(name, p)
		require.GreaterOrEqual(t, accounts.Guesses(name, p), 0)
		if err != nil {
			require.ErrorIs(t, err, accounts.ErrInvalid)
			require.LessOrEqual(t, len(err.Error()), 200)
			return
		}
		require.GreaterOrEqual(t, utf8.RuneCountInString(p), 1)
		require.True(t, utf8.ValidString(p))
		require.LessOrEqual(t, len(p), 1024)
	})
}

// FuzzHash checks that a hash that is accepted is written as it was read, and that none costs more
// than the bounds.
func FuzzHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$bm9uZW5vbmVub25lbm9uZQ")
	f.Add("$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$bm9uZW5vbmVub25lbm9uZQ")
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$bm9uZW5vbmVub25lbm9uZQ")
	f.Add("$2y$05$abcdefghijklmnopqrstuv")
	f.Fuzz(func(t *testing.T, text string) {
		again, err := accounts.ParseHash(text)
		if err == nil {
			require.Equal(t, text, again)
		}
	})
}

func TestParseHash(t *testing.T) {
	const tail = "$c29tZXNhbHRzb21lc2FsdA$bm9uZW5vbmVub25lbm9uZQ"
	for _, good := range []string{
		"$argon2id$v=19$m=19456,t=2,p=1" + tail, "$argon2id$v=19$m=65536,t=3,p=4" + tail, "$argon2id$v=19$m=8,t=1,p=1" + tail,
	} {
		_, err := accounts.ParseHash(good)
		require.NoError(t, err, good)
	}
	for _, bad := range []string{
		"", "x", "$argon2i$v=19$m=19456,t=2,p=1" + tail, "$argon2id$v=16$m=19456,t=2,p=1" + tail,
		"$argon2id$m=19456,t=2,p=1" + tail, "$argon2id$v=19$m=524288,t=2,p=1" + tail,
		"$argon2id$v=19$m=19456,t=17,p=1" + tail, "$argon2id$v=19$m=19456,t=2,p=17" + tail,
		"$argon2id$v=19$m=19456,t=0,p=1" + tail, "$argon2id$v=19$m=19456,t=2,p=0" + tail,
		"$argon2id$v=19$m=7,t=2,p=1" + tail, "$argon2id$v=19$m=-1,t=2,p=1" + tail,
		"$argon2id$v=19$m=19456,t=2,p=1x" + tail, "$argon2id$v=19$m=019456,t=2,p=1" + tail,
		"$argon2id$v=19$m=19456,t=2,p=1$YQ$bm9uZW5vbmVub25lbm9uZQ",
		"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$YQ",
		"$argon2id$v=19$m=19456,t=2,p=1" + tail + "=", "$argon2id$v=19$m=19456,t=2,p=1" + tail + "$",
	} {
		_, err := accounts.ParseHash(bad)
		require.Error(t, err, bad)
	}
}

// TestHashOfAnotherProgram checks a password that the reference implementation has hashed:
// echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1 (its file test.c).
func TestHashOfAnotherProgram(t *testing.T) {
	const hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	ok, err := accounts.HashMatches(hash, "password")
	require.NoError(t, err)
	require.True(t, ok)
	ok, err = accounts.HashMatches(hash, "Password")
	require.NoError(t, err)
	require.False(t, ok)
}

func TestSetPassword(t *testing.T) {
	ctx := t.Context()
	d := memory.New(nil)
	a := newAccounts(t, d, nil)
	ann := newUser(t, a, "ann")
	_, err := a.CheckPassword(ctx, ann.ID, "")
	require.ErrorIs(t, err, accounts.ErrUnknown)
	_, err = a.PasswordVersion(ctx, ann.ID)
	require.ErrorIs(t, err, accounts.ErrUnknown)
	require.ErrorIs(t, a.SetPassword(ctx, forced, ann.ID, "short"), accounts.ErrInvalid)
	require.ErrorIs(t, a.SetPassword(ctx, forced, accounts.Decoy("x"), password), accounts.ErrUnknown)
	require.ErrorIs(t, a.SetPassword(ctx, forced, "../../admins", password), accounts.ErrUnknown)

	require.NoError(t, a.SetPassword(ctx, forced, ann.ID, password))
	first, err := a.CheckPassword(ctx, ann.ID, password)
	require.NoError(t, err)
	now, err := a.PasswordVersion(ctx, ann.ID)
	require.NoError(t, err)
	require.Equal(t, first, now)

	require.NoError(t, a.SetPassword(ctx, forced, ann.ID, password))
	second, err := a.PasswordVersion(ctx, ann.ID)
	require.NoError(t, err)
	require.NotEqual(t, first, second, "the same password was set again")

	_, err = a.Disable(ctx, forced, ann.ID)
	require.NoError(t, err)
	require.NoError(t, a.SetPassword(ctx, forced, ann.ID, "another "+password))
	got, err := a.Account(ctx, ann.ID)
	require.NoError(t, err)
	require.NotNil(t, got.Disabled, "a new password does not enable")

	require.NoError(t, a.SetPassword(ctx, forced, ann.ID, ""))
	_, err = a.CheckPassword(ctx, ann.ID, "another "+password)
	require.ErrorIs(t, err, accounts.ErrUnknown)
}

// TestPasswordsOfOneKeyboardAndAnother types a character composed and decomposed.
func TestPasswordsOfOneKeyboardAndAnother(t *testing.T) {
	a := newAccounts(t, memory.New(nil), nil)
	ann, err := a.CreateUser(t.Context(), forced, "ann", "caf\u00e9 cello marmot", nil)
	require.NoError(t, err)
	_, err = a.CheckPassword(t.Context(), ann.ID, "cafe\u0301 cello marmot")
	require.NoError(t, err)
}

// TestCheckPasswordTakesAsLongForNobody checks that each check computes one hash, with the same
// parameters.
func TestCheckPasswordTakesAsLongForNobody(t *testing.T) {
	a := newAccounts(t, memory.New(nil), nil)
	ann, err := a.CreateUser(t.Context(), forced, "ann", password, nil)
	require.NoError(t, err)
	hashes := a.CheapPasswords()
	bob := newUser(t, a, "bob") // without a password
	for i, id := range []accounts.ID{ann.ID, "", bob.ID, accounts.Decoy("x"), "no ID"} {
		_, err := a.CheckPassword(t.Context(), id, "wrong "+password)
		require.ErrorIs(t, err, accounts.ErrUnknown)
		require.Equal(t, slices.Repeat([]string{"m=19456,t=2,p=1,32"}, i+1), hashes())
	}
}

func TestCheckPasswordManyAtOnce(t *testing.T) {
	a := newAccounts(t, memory.New(nil), nil)
	ann, err := a.CreateUser(t.Context(), forced, "ann", password, nil)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, err := a.CheckPassword(t.Context(), ann.ID, password)
			require.NoError(t, err)
		})
	}
	wg.Wait()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = a.CheckPassword(ended, accounts.Decoy("x"), password)
	require.NotErrorIs(t, err, nil)
}

func BenchmarkCheckPassword(b *testing.B) {
	a, err := accounts.New(memory.New(nil), nil)
	require.NoError(b, err)
	ann, err := a.CreateUser(b.Context(), forced, "ann", password, nil)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, err := a.CheckPassword(b.Context(), ann.ID, password)
		require.NoError(b, err)
	}
}
