// Package lang has the texts of the page in its languages. The key of a text is the text in English. The folder of a
// language has one JSON file for each topic of the page, with the translation of each text.
package lang

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"path"

	"golang.org/x/text/language"
)

//go:embed zh-CN/*.json
var files embed.FS

// Language is a language of the page.
type Language struct {
	// Code is its BCP 47 code, and Title its name in itself.
	Code, Title string
	texts       map[string]string // nil for English
	plural      bool              // whether one element has another form than several
}

// Cookie is the name of the cookie with the language that somebody has chosen.
const Cookie = "registry-language"

// English is the language of the keys.
var english = &Language{Code: "en", Title: "English", plural: true}

// open returns a language.
//
// Errors: an error for a language without texts.
func open(code string) (*Language, error) {
	switch code {
	case "en":
		return english, nil
	case "zh-CN":
		return load(code, "简体中文")
	}
	return nil, fmt.Errorf("lang: there is no language %q", code)
}

// load reads the texts of a language.
func load(code, title string) (*Language, error) {
	l := &Language{Code: code, Title: title, texts: map[string]string{}}
	entries, err := files.ReadDir(code)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		content, err := files.ReadFile(path.Join(code, e.Name()))
		if err != nil {
			return nil, err
		}
		var texts map[string]string
		if err := json.Unmarshal(content, &texts); err != nil {
			return nil, fmt.Errorf("lang: %s/%s: %w", code, e.Name(), err)
		}
		for key, text := range texts {
			if other, ok := l.texts[key]; ok && other != text {
				return nil, fmt.Errorf("lang: %s has two translations: %q and %q", key, other, text)
			}
			l.texts[key] = text
		}
	}
	return l, nil
}

// Text returns a text, which is given in English. args are those of fmt.Sprintf. Without args, text is no format.
func (l *Language) Text(text string, args ...any) string {
	if translated, ok := l.texts[text]; ok {
		text = translated
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// Count returns a text about n things: one is the text for one thing, and many for another number. Both are formats for
// n as a text with separators, such as "1,204 tags". The key of a translation is many.
func (l *Language) Count(n int64, one, many string) string {
	text := many
	if n == 1 && l.plural {
		text = one
	}
	return l.Text(text, Number(n))
}

// Has reports whether there is a translation of a text.
func (l *Language) Has(text string) bool {
	_, ok := l.texts[text]
	return ok || l.texts == nil
}

// Chooser chooses the language of a request.
type Chooser struct {
	all     []*Language
	matcher language.Matcher
}

// NewChooser returns a Chooser of languages, by their codes. The first one is the default.
//
// Errors: an error for a language without texts.
func NewChooser(codes []string) (*Chooser, error) {
	c := &Chooser{}
	var tags []language.Tag
	for _, code := range codes {
		l, err := open(code)
		if err != nil {
			return nil, err
		}
		c.all = append(c.all, l)
		tags = append(tags, language.Make(code))
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

// All returns the languages.
func (c *Chooser) All() []*Language { return c.all }

// Find returns the language with a code, or nil.
func (c *Chooser) Find(code string) *Language {
	for _, l := range c.all {
		if l.Code == code {
			return l
		}
	}
	return nil
}

// maxAccept is the maximum length of a header Accept-Language that is read.
const maxAccept = 200

// Choose returns the language of a request: that of the cookie, or the best one by Accept-Language.
func (c *Chooser) Choose(r *http.Request) *Language {
	if cookie, err := r.Cookie(Cookie); err == nil {
		if l := c.Find(cookie.Value); l != nil {
			return l
		}
	}
	header := r.Header.Get("Accept-Language")
	if len(header) > maxAccept {
		header = ""
	}
	wanted, _, err := language.ParseAcceptLanguage(header)
	if err != nil || len(wanted) == 0 {
		return c.all[0]
	}
	_, i, confidence := c.matcher.Match(wanted...)
	if confidence == language.No {
		return c.all[0]
	}
	return c.all[i]
}
