package web_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template/parse"
	"unicode"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/registrykit/registry/web"
)

// sources are the texts of the package, with the places where they are.
type sources struct {
	// shown are texts that are certainly shown: each needs a translation. other are further literals, which a text may
	// be.
	shown, other map[string]string
}

// readSources reads the templates and the Go files.
func readSources(t *testing.T) *sources {
	t.Helper()
	s := &sources{map[string]string{}, map[string]string{}}
	for name, tree := range templateTrees(t) {
		s.template(name, tree.Root)
	}
	for _, dir := range []string{".", "internal/lang"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				s.goFile(t, file)
			}
		}
	}
	return s
}

// templateTrees returns the parsed templates, by file and name.
func templateTrees(t *testing.T) map[string]*parse.Tree {
	t.Helper()
	files, err := filepath.Glob("templates/*.html")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := map[string]*parse.Tree{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		trees := map[string]*parse.Tree{}
		tree := parse.New(file)
		tree.Mode = parse.SkipFuncCheck
		_, err = tree.Parse(string(content), "", "", trees)
		require.NoError(t, err)
		for name, tree := range trees {
			all[file+" "+name] = tree
		}
	}
	return all
}

// template adds the texts of a node of a template: the literals after t, th and n, and those given to other templates.
func (s *sources) template(where string, n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, child := range n.Nodes {
				s.template(where, child)
			}
		}
	case *parse.ActionNode:
		s.template(where, n.Pipe)
	case *parse.IfNode:
		s.branch(where, &n.BranchNode)
	case *parse.RangeNode:
		s.branch(where, &n.BranchNode)
	case *parse.WithNode:
		s.branch(where, &n.BranchNode)
	case *parse.TemplateNode:
		s.template(where, n.Pipe)
	case *parse.PipeNode:
		if n != nil {
			for _, command := range n.Cmds {
				s.command(where, command)
			}
		}
	case *parse.StringNode:
		s.other[n.Text] = where
	}
}

func (s *sources) branch(where string, n *parse.BranchNode) {
	s.template(where, n.Pipe)
	s.template(where, n.List)
	s.template(where, n.ElseList)
}

func (s *sources) command(where string, n *parse.CommandNode) {
	for i, arg := range n.Args {
		function, ok := n.Args[0].(*parse.IdentifierNode)
		text, literal := arg.(*parse.StringNode)
		if !ok || !literal {
			s.template(where, arg)
			continue
		}
		last := i == len(n.Args)-1
		switch {
		case function.Ident == "n" && last, (function.Ident == "t" || function.Ident == "th") && i == 1:
			s.shown[text.Text] = where
		default:
			s.other[text.Text] = where
		}
	}
}

// sentence matches a literal of a Go file that can only be a text for people. Errors of Go begin with a small letter.
var sentence = regexp.MustCompile(`^[A-Z][a-z’']*,? .*[a-z]`)

// word matches a literal that is one word, such as the title of a menu.
var word = regexp.MustCompile(`^[A-Z][a-z]+$`)

// noTexts are literals of Go files that look like texts for people, and are none.
var noTexts = []string{"Accept-Language, Cookie", "Registry", "English", "Windows"}

// goFile adds the texts of a Go file: the arguments of Text, Count and errInvalid, and whatever looks like a sentence.
func (s *sources) goFile(t *testing.T, file string) {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, 0)
	require.NoError(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.CallExpr:
			s.call(set, n)
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Get", "Set", "Add", "Del"}, f.Sel.Name) {
				return false // of a header
			}
		case *ast.BinaryExpr, *ast.BasicLit:
			text, ok := literal(n.(ast.Expr))
			if !ok {
				return true
			}
			s.other[text] = set.Position(n.Pos()).String()
			if (sentence.MatchString(text) || word.MatchString(text)) && !slices.Contains(noTexts, text) {
				s.shown[text] = s.other[text]
			}
			return false // not the pieces of the literal
		}
		return true
	})
}

// call adds the literal text that a call translates. t is the name of a variable with the method Text.
func (s *sources) call(set *token.FileSet, call *ast.CallExpr) {
	name := ""
	switch f := call.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
	}
	i, ok := map[string]int{"t": 0, "Text": 0, "errInvalid": 0, "Count": 2, "count": 2}[name]
	if !ok || i >= len(call.Args) {
		return
	}
	if text, ok := literal(call.Args[i]); ok {
		s.shown[text] = set.Position(call.Pos()).String()
	}
}

// literal returns the value of a string in Go, also of one in several pieces.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		x, ok := literal(e.X)
		y, also := literal(e.Y)
		return x + y, ok && also && e.Op == token.ADD
	}
	return "", false
}

// translations returns the translations of all files of a language, and the file of each.
func translations(t *testing.T, code string) (texts, files map[string]string) {
	t.Helper()
	texts, files = map[string]string{}, map[string]string{}
	names, err := fs.Glob(os.DirFS("internal/lang"), code+"/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join("internal/lang", name))
		require.NoError(t, err)
		var some map[string]string
		require.NoError(t, json.Unmarshal(content, &some), name)
		for key, text := range some {
			texts[key], files[key] = text, name
		}
	}
	return texts, files
}

// TestEverythingIsTranslated: each text that is shown has a translation, and so has the heading of each error.
func TestEverythingIsTranslated(t *testing.T) {
	s := readSources(t)
	for _, status := range []int{400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 428, 429, 500, 503, 507} {
		s.shown[web.StatusHeading(status)] = "net/http"
	}
	texts, _ := translations(t, "zh-CN")
	for _, key := range slices.Sorted(maps.Keys(s.shown)) {
		_, ok := texts[key]
		if !ok { // all of them at once, for those who translate
			t.Errorf("%s: %q has no translation", s.shown[key], key)
		}
	}
}

// TestNoTranslationIsUnused: each translation is one of a text in the templates or in the Go files, or the name of a
// status.
func TestNoTranslationIsUnused(t *testing.T) {
	s := readSources(t)
	for status := range 600 {
		s.other[web.StatusHeading(status)] = "net/http"
	}
	texts, files := translations(t, "zh-CN")
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		if s.shown[key] == "" && s.other[key] == "" {
			t.Errorf("%s: no text is %q", files[key], key)
		}
	}
}

// formatVerb matches a verb of a format.
var formatVerb = regexp.MustCompile(`%(?:\[\d+\])?[a-z]`)

// htmlTag matches a tag of HTML.
var htmlTag = regexp.MustCompile(`</?[a-z][^>]*>`)

// TestTranslationsFit: a translation has the verbs and the tags of the text, and is in Chinese.
func TestTranslationsFit(t *testing.T) {
	texts, files := translations(t, "zh-CN")
	for key, text := range texts {
		require.Len(t, formatVerb.FindAllString(text, -1), len(formatVerb.FindAllString(key, -1)), "%s: %q", files[key], key)
		require.ElementsMatch(t, htmlTag.FindAllString(key, -1), htmlTag.FindAllString(text, -1), "%s: %q", files[key], key)
		require.Equal(t, strings.TrimSpace(text), text, "%s: %q", files[key], key)
		require.NotEmpty(t, text, "%s: %q", files[key], key)
		if len(strings.Fields(key)) > 3 {
			require.True(t, strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) }),
				"%s: the translation of %q is not in Chinese: %q", files[key], key, text)
		}
	}
}

// actionMark stands for an action of a template in its text.
const actionMark = "\uE000"

// TestTemplatesHaveNoTexts: the text of a template, and what its attributes show, is in an action, which translates it.
func TestTemplatesHaveNoTexts(t *testing.T) {
	for where, tree := range templateTrees(t) {
		z := html.NewTokenizer(strings.NewReader(withoutActions(tree.Root)))
		inCode := 0
		for z.Next() != html.ErrorToken {
			token := z.Token()
			isCode := slices.Contains([]string{"code", "pre", "kbd", "samp", "script", "style"}, token.Data)
			switch {
			case token.Type == html.StartTagToken && isCode:
				inCode++
			case token.Type == html.EndTagToken && isCode:
				inCode--
			case token.Type == html.TextToken && inCode == 0:
				requireNoText(t, where, token.Data)
			}
			for _, a := range token.Attr {
				if slices.Contains([]string{"title", "aria-label", "alt", "aria-description"}, a.Key) {
					requireNoText(t, where+" "+a.Key, a.Val)
				}
				if a.Key == "placeholder" { // it may be an example, such as v1.*
					requireNoText(t, where+" placeholder", strings.Join(slices.DeleteFunc(strings.Fields(a.Val), isExample), " "))
				}
			}
		}
	}
}

// requireNoText requires that a text has no letters beside actions.
func requireNoText(t *testing.T, where, text string) {
	t.Helper()
	require.False(t, strings.ContainsFunc(text, unicode.IsLetter), "%s: %q is not translated",
		where, strings.TrimSpace(strings.ReplaceAll(text, actionMark, "{{…}}")))
}

// isExample reports whether a word of a placeholder is no word of a language.
func isExample(word string) bool {
	return strings.ContainsFunc(word, func(r rune) bool { return unicode.IsDigit(r) || strings.ContainsRune("*/:.", r) })
}

// withoutActions returns the text of a template. Each action becomes a mark, and all branches follow one another.
func withoutActions(n parse.Node) string {
	switch n := n.(type) {
	case *parse.ListNode:
		var b strings.Builder
		if n != nil {
			for _, child := range n.Nodes {
				b.WriteString(withoutActions(child))
			}
		}
		return b.String()
	case *parse.TextNode:
		return string(n.Text)
	case *parse.IfNode:
		return withoutActions(n.List) + withoutActions(n.ElseList)
	case *parse.RangeNode:
		return withoutActions(n.List) + withoutActions(n.ElseList)
	case *parse.WithNode:
		return withoutActions(n.List) + withoutActions(n.ElseList)
	case *parse.CommentNode:
		return ""
	}
	return actionMark
}
