package registry_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmeTwentyLines: the twenty lines of the README are those of examples/embed, which compile.
func TestReadmeTwentyLines(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, after, _ := strings.Cut(string(readme), "## The twenty lines\n\n```go\n")
	lines, _, ok := strings.Cut(after, "```\n")
	require.True(t, ok)
	program, err := os.ReadFile("examples/embed/main.go")
	require.NoError(t, err)
	_, body, ok := strings.Cut(string(program), "func main() {\n")
	require.True(t, ok)
	body = strings.ReplaceAll("\n"+strings.TrimSuffix(body, "}\n"), "\n\t", "\n")
	require.Equal(t, strings.TrimPrefix(body, "\n"), lines)
}

// outline returns what a translation of a page must share with it: the code, the targets of links, and the number of
// headings, of rows of tables and of elements of lists.
func outline(page string) (code, links []string, headings, rows, elements int) {
	for i, part := range strings.Split(page, "```") {
		if i%2 == 1 {
			code = append(code, part)
			continue
		}
		for line := range strings.Lines(part) {
			switch {
			case strings.HasPrefix(line, "#"):
				headings++
			case strings.HasPrefix(line, "|"):
				rows++
			case strings.HasPrefix(line, "- "):
				elements++
			}
		}
		for _, match := range link.FindAllStringSubmatch(part, -1) {
			if target := match[1]; !strings.HasPrefix(target, "#") && !strings.HasPrefix(target, "README") {
				links = append(links, target)
			}
		}
	}
	return code, links, headings, rows, elements
}

var link = regexp.MustCompile(`\]\(([^)]+)\)`)

// TestChineseReadmeFollowsTheEnglishOne: a change of one of them fails until the other has it, too.
func TestChineseReadmeFollowsTheEnglishOne(t *testing.T) {
	english, err := os.ReadFile("README.md")
	require.NoError(t, err)
	chinese, err := os.ReadFile("README.zh-CN.md")
	require.NoError(t, err)
	code, links, headings, rows, elements := outline(string(english))
	code2, links2, headings2, rows2, elements2 := outline(string(chinese))
	require.Equal(t, code, code2)
	require.Equal(t, links, links2)
	require.Equal(t, []int{headings, rows, elements}, []int{headings2, rows2, elements2})
}

// TestContributingSinkCompiles: the sink of CONTRIBUTING.md is that of the example, which compiles.
func TestContributingSinkCompiles(t *testing.T) {
	guide, err := os.ReadFile("CONTRIBUTING.md")
	require.NoError(t, err)
	_, after, _ := strings.Cut(string(guide), "## An event sink\n")
	_, after, _ = strings.Cut(after, "```go\n")
	lines, _, ok := strings.Cut(after, "```\n")
	require.True(t, ok)
	example, err := os.ReadFile("example_sink_test.go")
	require.NoError(t, err)
	require.Contains(t, string(example), lines)
}

// TestExampleServersTimeouts: every server in an example has the timeouts that net/http does not
// set by default. A server with HTTP/2 also closes connections that the client does not read.
func TestExampleServersTimeouts(t *testing.T) {
	files := []string{"README.md", "doc.go", "docs/server.md"}
	require.NoError(t, filepath.WalkDir("examples", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".go" && !strings.HasSuffix(path, "_test.go") {
			files = append(files, path)
		}
		return err
	}))
	servers := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, short := range []string{"http.ListenAndServe", "http.Serve("} {
			require.NotContains(t, string(content), short, "%s: a server without timeouts", file)
		}
		for i, after := range strings.Split(string(content), "&http.Server{") {
			if i == 0 {
				continue
			}
			servers++
			fields, _, _ := strings.Cut(after, "}")
			require.Contains(t, fields, "ReadHeaderTimeout:", file)
			require.Contains(t, fields, "IdleTimeout:", file)
			require.Contains(t, fields, "DisableGeneralOptionsHandler:", "%s: net/http answers OPTIONS * without timeouts", file)
			if strings.Contains(string(content), "TLS(") || strings.Contains(string(content), "UnencryptedHTTP2") ||
				file == "docs/server.md" {
				require.Contains(t, fields, "WriteByteTimeout:", file)
			}
		}
	}
	require.GreaterOrEqual(t, servers, 7)
}
