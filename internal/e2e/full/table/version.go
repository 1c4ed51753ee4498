package main

import (
	"debug/buildinfo"
	"fmt"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/registrykit/registry/internal/e2e/harness"
)

var number = regexp.MustCompile(`\d+\.\d+[0-9A-Za-z.~+-]*`)

// printed is the version that a program says it has.
func printed(name string, args ...string) func() (string, error) {
	return func() (string, error) {
		program, err := harness.Tool(name)
		if err != nil {
			return "", err
		}
		out, err := exec.Command(program, args...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		version := number.FindString(string(out))
		if version == "" {
			return "", fmt.Errorf("%s prints no version: %.100s", name, out)
		}
		return strings.TrimRight(version, ".,"), nil
	}
}

// built is the version of the module that a Go program was built from: not all of those that were
// built from source know what to print.
func built(name string) func() (string, error) {
	return func() (string, error) {
		program, err := harness.Tool(name)
		if err != nil {
			return "", err
		}
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return "", err
		}
		var of *debug.Module
		for _, m := range append(info.Deps, &info.Main) {
			if strings.HasPrefix(info.Path, m.Path+"/") && (of == nil || len(m.Path) > len(of.Path)) {
				of = m
			}
		}
		if of == nil {
			return "", fmt.Errorf("%s: no module of %s", name, info.Path)
		}
		return strings.TrimPrefix(of.Version, "v"), nil
	}
}

// required is the version of a module that the tests are built with.
func required(module string) func() (string, error) {
	return func() (string, error) {
		cmd := exec.Command("go", "list", "-m", "-f", "{{.Version}}", module)
		cmd.Dir = harness.Root() + "/internal/e2e"
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("go list -m %s: %w", module, err)
		}
		return strings.TrimPrefix(strings.TrimSpace(string(out)), "v"), nil
	}
}
