package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/strictyaml"
	"github.com/registrykit/registry/notification/webhook"
)

// maxSecrets is the maximum size of a file of secrets, in bytes.
const maxSecrets = 64 << 10

// line is a line of a file that is neither empty nor a comment.
type line struct {
	number int
	text   string
}

func readLines(path string) (lines []line, err error) {
	content, err := strictyaml.ReadFile(path, maxSecrets)
	if err != nil {
		return nil, err
	}
	n := 0
	for text := range strings.SplitSeq(string(content), "\n") {
		n++
		if text = strings.TrimSpace(text); text != "" && text[0] != '#' {
			lines = append(lines, line{n, text})
		}
	}
	return lines, nil
}

// readSecrets reads a file of secrets, one in each line. Errors contain the line, and not the
// secret.
func readSecrets(path string) ([]auth.Secret, error) {
	lines, err := readLines(path)
	if err != nil {
		return nil, err
	}
	var secrets []auth.Secret
	for _, l := range lines {
		s := auth.Secret(l.text)
		if err := webhook.CheckSecret(s); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, l.number, err)
		}
		if slices.Contains(secrets, s) {
			return nil, fmt.Errorf("%s:%d: the secret occurs twice", path, l.number)
		}
		secrets = append(secrets, s)
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("%s: no secret", path)
	}
	return secrets, nil
}

// readAuthorization reads the only line of a file.
func readAuthorization(path string) (auth.Secret, error) {
	lines, err := readLines(path)
	switch {
	case err != nil:
		return "", err
	case len(lines) == 0:
		return "", fmt.Errorf("%s: no line", path)
	case len(lines) > 1:
		return "", fmt.Errorf("%s:%d: more than one line", path, lines[1].number)
	}
	return auth.Secret(lines[0].text), nil
}
