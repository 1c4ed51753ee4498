package harness

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestToolRefusesProgramsThatCIDoesNotInstall runs with every program of the list on the machine,
// as on a developer's machine.
func TestToolRefusesProgramsThatCIDoesNotInstall(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("REGISTRY_CACHE", cache)
	t.Setenv(setsVariable, "")
	require.NoError(t, os.Mkdir(filepath.Join(cache, "bin"), 0o755))
	for _, name := range []string{"crane", "versitygw", "registry", "unlisted"} {
		require.NoError(t, os.WriteFile(filepath.Join(cache, "bin", name), nil, 0o755))
	}
	path, err := Tool("crane")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(cache, "bin", "crane"), path)
	_, err = Tool("versitygw")
	require.ErrorContains(t, err, "install.sh full")
	_, err = Tool("registry")
	require.ErrorContains(t, err, "install.sh peer")
	_, err = Tool("unlisted")
	require.ErrorContains(t, err, "programs.txt")

	t.Setenv(setsVariable, "full peer")
	for _, name := range []string{"versitygw", "registry"} {
		_, err = Tool(name)
		require.NoError(t, err)
	}
	_, err = Tool("unlisted")
	require.Error(t, err)
}

// TestProgramsAreListed finds programs that the code of this repository runs by name, without Tool.
// Each must be in the list, and CI must install it.
func TestProgramsAreListed(t *testing.T) {
	found := 0
	for path, names := range programNames(t) {
		for _, name := range names {
			found++
			set, err := programSet(name)
			require.NoError(t, err, path)
			require.Equal(t, SetCI, set, "%s runs %s", path, name)
		}
	}
	require.NotZero(t, found, "the search finds none, although some tests run the go command")
}

// programNames returns, for the path of each Go file, the names of programs that it passes to
// functions of os/exec as string literals.
func programNames(t *testing.T) map[string][]string {
	t.Helper()
	argument := map[string]int{"Command": 0, "LookPath": 0, "CommandContext": 1}
	names := map[string][]string{}
	require.NoError(t, filepath.WalkDir(Root(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			i, ok := argument[f.Sel.Name]
			if pkg, isIdent := f.X.(*ast.Ident); !ok || !isIdent || pkg.Name != "exec" || len(call.Args) <= i {
				return true
			}
			if lit, ok := call.Args[i].(*ast.BasicLit); ok {
				name, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				names[path] = append(names[path], name)
			}
			return true
		})
		return nil
	}))
	return names
}

// TestProgramsListIsWellFormed requires a known set and a known way of installation in each line,
// and no duplicate programs.
func TestProgramsListIsWellFormed(t *testing.T) {
	arguments := map[string]int{"system": 0, "apt": 1, "tool": 0, "go": 1, "npm": 1, "npmfile": 2, "conformance1": 0,
		"toxiproxy": 1, "buildkit": 2, "clone": 3}
	seen := map[string]bool{}
	for line := range strings.Lines(programsText) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		require.GreaterOrEqual(t, len(f), 3, line)
		require.Contains(t, []string{SetCI, SetFull, SetPeer}, f[1], line)
		least, ok := arguments[f[2]]
		require.True(t, ok, line)
		require.GreaterOrEqual(t, len(f)-3, least, line)
		require.False(t, seen[f[0]], line)
		seen[f[0]] = true
	}
	require.NotEmpty(t, seen)
}
