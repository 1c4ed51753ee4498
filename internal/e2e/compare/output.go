package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// writeJSON writes the tables to a file, unless path is "".
func writeJSON(path string, tables []*table) error {
	if path == "" {
		return nil
	}
	b, err := json.MarshalIndent(tables, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// writeDoc replaces the tables in a Markdown document. The tables of a kind of storage are between
// the lines <!-- compare NAME --> and <!-- end -->.
func writeDoc(path string, tables []*table) error {
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(b)
	for _, t := range tables {
		begin := "<!-- compare " + t.name() + " -->\n"
		before, rest, ok := strings.Cut(text, begin)
		_, after, closed := strings.Cut(rest, "<!-- end -->\n")
		if !ok || !closed {
			return fmt.Errorf("%s: no place for the tables of %s", path, t.name())
		}
		text = before + begin + "\n" + t.markdown() + "\n<!-- end -->\n" + after
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
