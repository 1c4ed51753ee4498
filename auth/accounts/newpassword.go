package accounts

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/registrykit/registry/auth/internal/secretvalue"
)

const (
	// maxPassword is the maximum length of a password, in bytes.
	maxPassword = 1024
	// minGuess is the minimum result of guesses for a password.
	minGuess = 6
)

// MinPassword returns the minimum length of a new password, in characters: Options.MinPassword.
func (a *Accounts) MinPassword() int { return a.opts.MinPassword }

// CheckNewPassword returns an error that says why a password must not be used, or nil. The rules are those of
// NIST SP 800-63B-4, section 3.1.1.2. A password must have the minimum length and at most 1,024 bytes. All
// printable characters are permitted, and no kind of character is required. A password must not be common,
// repeat a character or sequence, or consist of the name.
//
// Errors: ErrInvalid.
func (a *Accounts) CheckNewPassword(name, password string) error {
	if len(password) > maxPassword {
		return fmt.Errorf("%w: a password has at most %d bytes", ErrInvalid, maxPassword)
	}
	if !plain(password) {
		return fmt.Errorf("%w: a password is text without control characters", ErrInvalid)
	}
	if utf8.RuneCountInString(normal(password)) < a.opts.MinPassword {
		return fmt.Errorf("%w: a password has at least %d characters", ErrInvalid, a.opts.MinPassword)
	}
	if secretvalue.Is(password) {
		return fmt.Errorf("%w: a secret of this registry is no password", ErrInvalid)
	}
	if isJWT(password) {
		return fmt.Errorf("%w: a token is no password", ErrInvalid)
	}
	if guesses(name, password) < minGuess {
		return fmt.Errorf("%w: the password is easy to guess: it is often used, repeats something, or is made of the name",
			ErrInvalid)
	}
	if a.opts.Blocked != nil && a.opts.Blocked(password) {
		return fmt.Errorf("%w: the password is known to others", ErrInvalid)
	}
	return nil
}

// common are the most frequent words, keyboard rows and parts of passwords, in lower case without separators.
const common = `
000 111 123 321 abc access account acme admin administrator adobe alexander amanda andrew angel angels anthony
apple asdf ashley asshole august austin autumn banana baseball basketball batman bitch blink buster carlos
changeit changeme charlie cheese chelsea chocolate christian christmas computer confidential container cookie
corvette creative daniel database december default diamond docker dragon dragons eagles elizabeth enter
everyone family february ferrari flower football forever freedom friday friends fuckyou george ginger google
guest hannah harley heaven hello hockey hottie hunter iloveyou image internet january jasmine jennifer jessica
jesus jordan joseph joshua july june justin killer killme kubernetes lakers letmein liverpool local london
lovely loveme lover maggie manchester march master matrix matthew maverick mercedes merlin michael michelle
mickey monday monkey mother mustang naruto newyork nicole november october office oracle orange p4ssw0rd
p4ssword pa55w0rd pass passphrase passw0rd password pepper phoenix pokemon porsche prince princess private
purple qazwsx qwert qwerty qwertz ranger registry robert root sakura samantha saturday scooter secret secure
security september server shadow silver slipknot snoopy soccer spiderman spring starwars steelers summer
sunday sunshine superman supersecret superuser system taylor temporary test testing thomas thunder thursday
tigger toyota trustno tuesday undefined united user username wednesday welcome whatever whiskey william winter
wizard yankees yellow zaq12wsx zxcvbnm`

// keyRows are the rows of keyboards, and other well-known sequences.
const keyRows = "qwertyuiop asdfghjkl zxcvbnm qwertzuiop yxcvbnm azertyuiop qsdfghjklm wxcvbn 1234567890 " +
	"qazwsxedcrfvtgbyhnujmikolp 1q2w3e4r5t6y7u8i9o0p !@#$%^&*() abcdefghijklmnopqrstuvwxyz"

// maxWord is the maximum length of a word that guesses knows, in bytes.
const maxWord = maxName

// guesses estimates how many characters of a password an attacker must guess. A character that repeats the
// previous one, or follows it in the alphabet or on the keyboard, counts 0. A common word and the name count 1. If a
// password repeats one part, only that part counts.
func guesses(name, password string) int {
	text := period(strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || c == '-' || c == '_' || c == '.' {
			return -1
		}
		return unicode.ToLower(c)
	}, normal(password)))
	words := map[string]struct{}{}
	for _, w := range strings.Fields(common) {
		words[w] = struct{}{}
	}
	for part := range strings.SplitSeq(name, "-") {
		if len(part) >= minName {
			words[part] = struct{}{}
		}
	}
	words[strings.ReplaceAll(name, "-", "")] = struct{}{}
	count := 0
	for before := rune(0); text != ""; {
		if n := longestWord(text, words); n > 0 {
			count++
			before, text = 0, text[n:]
			continue
		}
		c, n := utf8.DecodeRuneInString(text)
		if !follows(before, c) {
			count++
		}
		before, text = c, text[n:]
	}
	return count
}

// longestWord returns the length of the longest word that text begins with, or 0.
func longestWord(text string, words map[string]struct{}) int {
	for n := min(len(text), maxWord); n >= minName; n-- {
		if _, ok := words[text[:n]]; ok {
			return n
		}
	}
	return 0
}

// follows reports whether b repeats a or is next to it in keyRows, in either direction.
func follows(a, b rune) bool {
	if a == 0 {
		return false
	}
	return a == b || strings.Contains(keyRows, string([]rune{a, b})) || strings.Contains(keyRows, string([]rune{b, a}))
}

// period returns the shortest text of which text is a repetition, perhaps with a part of it at the
// end. It returns text itself if it is not repeated at least once.
func period(text string) string {
	// border[i] is the length of the longest text that text[:i] both begins and ends with.
	border := make([]int, len(text)+1)
	for i, k := 1, 0; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = border[k]
		}
		if text[i] == text[k] {
			k++
		}
		border[i+1] = k
	}
	if p := len(text) - border[len(text)]; 2*p <= len(text) {
		return text[:p]
	}
	return text
}
