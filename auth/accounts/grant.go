package accounts

import (
	"errors"
	"fmt"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/pattern"
)

// maxGrants is the maximum number of grants of a team or a robot, and of scopes of a secret.
const maxGrants = 100

// maxPattern is the maximum length of a pattern, in bytes.
const maxPattern = 255 // as long as a name of a repository

// checkGrants checks the grants of a team or robot, or the scopes of a secret.
//
// Errors: ErrInvalid, also for more than maxGrants.
func checkGrants(grants []Grant) error {
	if len(grants) > maxGrants {
		return fmt.Errorf("%w: %d grants, at most %d are possible", ErrInvalid, len(grants), maxGrants)
	}
	for i, g := range grants {
		if g.Role.rank() == 0 {
			return fmt.Errorf("%w: grant %d: unknown role %.32q; use read, write, maintain or admin", ErrInvalid, i, g.Role)
		}
		if _, err := compilePattern(g.Repositories); err != nil {
			return fmt.Errorf("%w: grant %d: %w", ErrInvalid, i, err)
		}
	}
	return nil
}

// compilePattern compiles the pattern of a grant. It has the syntax of package rules, without exceptions and {user}.
func compilePattern(text string) (pattern.Patterns, error) {
	switch {
	case len(text) > maxPattern:
		return pattern.Patterns{}, fmt.Errorf("a pattern is longer than %d bytes", maxPattern)
	case strings.HasPrefix(text, "!"):
		return pattern.Patterns{}, errors.New("a grant has no exceptions")
	}
	p, _, err := pattern.Repository.Compile([]string{text})
	if err == nil && p.User() {
		err = errors.New("{user} is only for rules")
	}
	return p, err
}

// matches reports whether the grant applies to a repository. For teams and robots, the name is relative to the
// namespace. The repository with the name of the namespace itself has the relative name "", which only "**" matches.
//
// Patterns are matched for each request, so the usual ones are matched without compiling them.
func (g *Grant) matches(name string) bool {
	p := g.Repositories
	if p == "**" {
		return true
	}
	if name == "" {
		return false
	}
	if head, below := strings.CutSuffix(p, "/**"); below && isLiteral(head) {
		rest, ok := strings.CutPrefix(name, head)
		return ok && (rest == "" || rest[0] == '/')
	}
	if isLiteral(p) {
		return p == name
	}
	compiled, err := compilePattern(p)
	subject := pattern.NewSubject(name, "")
	return err == nil && compiled.Match(&subject)
}

// isLiteral reports whether a pattern matches only itself.
func isLiteral(p string) bool { return !strings.ContainsAny(p, `*?[{\`) }

// allowedBy returns the grant that permits an action on a repository, or nil. Of several grants, it returns the one
// with the highest role, which Explain names.
func allowedBy(grants []Grant, name string, action auth.Action) *Grant {
	var best *Grant
	for i := range grants {
		g := &grants[i]
		if g.Role.Allows(action) && (best == nil || g.Role.rank() > best.Role.rank()) && g.matches(name) {
			best = g
		}
	}
	return best
}
