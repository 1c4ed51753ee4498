package harness

import (
	_ "embed" // programs.txt
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed programs.txt
var programsText string

// These constants name the sets of programs.txt. CI installs only SetCI.
const (
	SetCI   = "ci"
	SetFull = "full"
	SetPeer = "peer"
)

// setsVariable is the name of an environment variable. It lists the sets, besides SetCI, whose
// programs tests may use, such as "full peer". The Makefile sets it for the targets that install
// them. CI does not set it. So a test that CI runs fails if it uses a program that CI does not
// install, even on a machine that has the program.
const setsVariable = "REGISTRY_E2E_PROGRAMS"

// Cache returns the folder of the programs that are installed or built for the tests. install.sh
// uses the same folder.
func Cache() (string, error) {
	if dir := os.Getenv("REGISTRY_CACHE"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".cache", "registrykit"), err
}

// Tool returns the path of a program of programs.txt. If the program is missing, the error says how
// to install it.
func Tool(name string) (string, error) {
	set, err := programSet(name)
	if err != nil {
		return "", err
	}
	if set != SetCI && !slices.Contains(strings.Fields(os.Getenv(setsVariable)), set) {
		return "", fmt.Errorf("%s is not installed in CI, only by `internal/e2e/install.sh %s`; %s=%s allows its use",
			name, set, setsVariable, set)
	}
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "bin", name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	path, err = exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed, run internal/e2e/install.sh %s: %w", name, set, err)
	}
	return path, nil
}

// programSet returns the set of a program of programs.txt.
func programSet(name string) (string, error) {
	for line := range strings.Lines(programsText) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == name {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("%s is not in harness/programs.txt, which install.sh installs", name)
}
