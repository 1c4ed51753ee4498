// Table runs the tests of the clients and writes what they have shown as a table of Markdown, for
// the README:
//
//	go run ./full/table -o clients.md
//
// Only tests that passed become a line. A test that failed, or that the table names and that did
// not run, ends it with an error.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/registrykit/registry/internal/e2e/harness"
)

func main() {
	out := flag.String("o", "", "`file` to write the table to; default: standard output")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out string) error {
	results, failed := test("./clients", "./libraries", "./access", "./identity", "./full")
	if results == nil {
		return failed
	}
	table, err := markdown(results)
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	if out == "" {
		fmt.Print(table)
		return nil
	}
	return os.WriteFile(out, []byte(table), 0o644)
}

// event is a line of `go test -json`, see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
}

// test runs the tests of packages, shows what they print, and returns the results: "full.TestHelm"
// is "pass", "fail" or "skip".
func test(packages ...string) (map[string]string, error) {
	// -p 1: the tests start servers and clients that want the machine. -count=1: the server is
	// another module's program.
	cmd := exec.Command("go", append([]string{"test", "-json", "-tags", "full", "-p", "1", "-parallel", "16", "-count=1",
		"-timeout", "15m"}, packages...)...)
	cmd.Dir = filepath.Join(harness.Root(), "internal", "e2e")
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	results := map[string]string{}
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		switch e.Action {
		case "output":
			if !strings.HasPrefix(e.Output, "=== ") {
				fmt.Fprint(os.Stderr, e.Output)
			}
		case "pass", "fail", "skip":
			results[path.Base(e.Package)+"."+e.Test] = e.Action
		}
	}
	return results, errors.Join(lines.Err(), cmd.Wait())
}

// markdown is the table of what has passed.
func markdown(results map[string]string) (string, error) {
	var b strings.Builder
	b.WriteString("| client | version | what passed |\n|---|---|---|\n")
	var errs []error
	for _, c := range clients {
		version, err := c.version()
		errs = append(errs, err)
		var passed []string
		for _, claim := range c.claims {
			ok := true
			for _, test := range claim.tests {
				result, ran := results[test]
				if !ran {
					errs = append(errs, fmt.Errorf("%s: %s did not run", c.name, test))
				}
				ok = ok && result == "pass"
			}
			if ok {
				passed = append(passed, claim.what)
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.name, version, strings.Join(passed, "; "))
	}
	return b.String(), errors.Join(errs...)
}
