package registry_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDependencies limits the dependencies of the core packages to the documented ones.
// Dependencies are part of the API.
func TestDependencies(t *testing.T) {
	allowed := []string{
		"github.com/registrykit/registry",
		"github.com/opencontainers/go-digest",
		"github.com/opencontainers/image-spec/specs-go",
		"github.com/distribution/reference",
		"golang.org/x/sync",
		"golang.org/x/sys/unix", // of storage/disk, on Linux
	}
	for _, pkg := range []string{".", "./auth", "./notification", "./reference", "./jobs", "./pulltime", "./storage",
		"./storage/disk", "./storage/memory", "./filter", "./hook", "./client", "./client/login", "./image", "./importer",
		"./layout", "./scrub", "./usage"} {
		for _, dep := range dependencies(t, pkg) {
			require.True(t, within(dep, allowed), "%s depends on %s", pkg, dep)
		}
	}
}

// TestDependenciesOfBatteries limits the dependencies of the other packages.
func TestDependenciesOfBatteries(t *testing.T) {
	for pkg, allowed := range map[string][]string{
		"./auth/token":      {"github.com/golang-jwt/jwt/v5", "github.com/registrykit/registry/storage/driver"},
		"./auth/chain":      nil,
		"./auth/foreign":    nil,
		"./auth/static":     nil,
		"./auth/clientcert": nil,
		"./auth/htpasswd":   {"golang.org/x/crypto/bcrypt", "golang.org/x/crypto/blowfish"},
		"./auth/bearer": {"github.com/golang-jwt/jwt/v5", "github.com/go-jose/go-jose/v4",
			"github.com/registrykit/registry/internal/strictjson"},
		"./auth/oidc": {
			"github.com/golang-jwt/jwt/v5", "github.com/go-jose/go-jose/v4",
			"github.com/registrykit/registry/internal/strictjson", "github.com/bmatcuk/doublestar/v4",
			"go.yaml.in/yaml/v4", "github.com/registrykit/registry/internal/strictyaml",
		},
		"./auth/accounts": {
			"github.com/registrykit/registry", "github.com/opencontainers/image-spec/specs-go", "golang.org/x/sync",
			"github.com/bmatcuk/doublestar/v4", "golang.org/x/crypto", "golang.org/x/sys/cpu", "golang.org/x/text",
		},
		"./auth/rules": {
			"github.com/bmatcuk/doublestar/v4", "go.yaml.in/yaml/v4", "github.com/registrykit/registry/internal/strictyaml",
		},
	} {
		allowed = append(allowed, "github.com/opencontainers/go-digest", "github.com/distribution/reference",
			"github.com/registrykit/registry/auth", "github.com/registrykit/registry/reference",
			"github.com/registrykit/registry/internal/forwarded", "github.com/registrykit/registry/internal/hostname",
			"github.com/registrykit/registry/internal/lru",
			"github.com/registrykit/registry/internal/options", "github.com/registrykit/registry/internal/wire")
		for _, dep := range dependencies(t, pkg) {
			require.True(t, within(dep, allowed), "%s depends on %s", pkg, dep)
		}
	}
}

// dependencies returns the packages that pkg depends on, without the standard library.
func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		"{{if not .Standard}}{{.ImportPath}}{{end}}", pkg).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.Fields(string(out))
}

// TestDependenciesOfMirror: a mirror needs nothing beyond what a registry and patterns need.
func TestDependenciesOfMirror(t *testing.T) {
	for _, dep := range dependencies(t, "./mirror") {
		require.True(t, within(dep, []string{
			"github.com/registrykit/registry", "github.com/opencontainers/go-digest",
			"github.com/opencontainers/image-spec/specs-go", "github.com/distribution/reference", "golang.org/x/sync",
			"github.com/bmatcuk/doublestar/v4",
		}), "./mirror depends on %s", dep)
	}
}

// TestDependenciesOfSinks: sinks need the standard library and what events need. Only those with
// patterns and the configuration in YAML need a library for that.
func TestDependenciesOfSinks(t *testing.T) {
	const module = "github.com/registrykit/registry"
	const patterns = "github.com/bmatcuk/doublestar/v4"
	base := []string{"github.com/opencontainers/go-digest", "github.com/opencontainers/image-spec/specs-go",
		module + "/notification", module + "/internal/contain", module + "/internal/options", module + "/internal/pause"}
	for pkg, allowed := range map[string][]string{
		"./notification/log":     nil,
		"./notification/multi":   nil,
		"./notification/queue":   nil,
		"./notification/format":  nil,
		"./notification/webhook": {module + "/auth", module + "/internal/retryafter"},
		"./notification/filter":  {module + "/internal/glob", module + "/internal/subjecttag", patterns},
		// The sinks for brokers, which share this package, are modules of their own.
		"./notification/internal/broker": nil,
		"./notification/outbox":          {module + "/internal/parallel", "golang.org/x/sync", module + "/storage/driver"},
		"./notification/endpoints": {module + "/auth", module + "/internal", module + "/reference",
			"github.com/distribution/reference", "golang.org/x/sync", patterns, module + "/storage/driver"},
		"./notification/sse": {module + "/internal", "golang.org/x/sync", patterns, module + "/auth",
			module + "/storage/driver"},
		"./notification/config": {module + "/auth", module + "/internal/strictyaml", module + "/internal/glob", patterns,
			module + "/internal/subjecttag",
			"go.yaml.in/yaml/v4", module + "/internal/retryafter"},
	} {
		for _, dep := range dependencies(t, pkg) {
			require.True(t, within(dep, append(allowed, base...)), "%s depends on %s", pkg, dep)
		}
	}
}

// TestDependenciesOfGlob: patterns depend on one library, and only packages that import them have
// that dependency.
func TestDependenciesOfGlob(t *testing.T) {
	for _, dep := range dependencies(t, "./filter/glob") {
		require.True(t, within(dep, []string{"github.com/registrykit/registry/filter/glob",
			"github.com/registrykit/registry/internal/glob", "github.com/bmatcuk/doublestar/v4"}), "%s", dep)
	}
}

// TestDependenciesOfReplicate: rules of a Sync have patterns and versions, and need a library for each.
func TestDependenciesOfReplicate(t *testing.T) {
	for _, dep := range dependencies(t, "./replicate") {
		require.True(t, within(dep, []string{
			"github.com/registrykit/registry", "github.com/opencontainers/go-digest",
			"github.com/opencontainers/image-spec/specs-go", "github.com/distribution/reference", "golang.org/x/sync",
			"github.com/bmatcuk/doublestar/v4", "github.com/Masterminds/semver/v3",
		}), "%s", dep)
	}
}

// TestDependenciesOfServerParts: packages around an http.Handler or for an http.Server need only
// the standard library.
func TestDependenciesOfServerParts(t *testing.T) {
	for _, pkg := range []string{"./middleware", "./certfile"} {
		for _, dep := range dependencies(t, pkg) {
			require.True(t, within(dep, []string{
				"github.com/registrykit/registry/" + strings.TrimPrefix(pkg, "./"),
				"github.com/registrykit/registry/internal/forwarded", "github.com/registrykit/registry/internal/hostname",
				"github.com/registrykit/registry/internal/wire",
			}), "%s depends on %s", pkg, dep)
		}
	}
}

// TestImportsPointDown: imports between packages go in one direction.
func TestImportsPointDown(t *testing.T) {
	const module = "github.com/registrykit/registry"
	for pkg, allowed := range map[string][]string{
		"./reference":    nil,
		"./auth":         nil,
		"./notification": nil,
		".": {
			module + "/auth", module + "/notification", module + "/reference", module + "/internal/handover",
			module + "/internal/manifest", module + "/internal/strictjson", module + "/internal/options",
			module + "/internal/copybuf",
		},
		"./storage": {
			module + "/auth", module + "/notification", module + "/reference", module + "/internal/handover",
			module + "/internal/manifest", module + "/internal/strictjson",
			module + "/internal/copybuf", module + "/internal/lru", module + "/internal/objectkey", module + "/internal/options",
			module + "/internal/parallel", module + "/internal/pause",
			module + "/jobs", module + "/storage/driver", module + "/storage/internal",
		},
		"./hook": {
			module + "/auth", module + "/notification", module + "/reference", module + "/internal/contain",
			module + "/internal/handover", module + "/internal/manifest", module + "/internal/strictjson",
			module + "/internal/copybuf", module + "/internal/options",
		},
		"./jobs": {module + "/internal/options", module + "/internal/pause", module + "/storage/driver"},
		"./storage/gocloud/gcs": {
			module + "/internal/options", module + "/storage/driver", module + "/storage/gocloud",
		},
	} {
		for _, dep := range dependencies(t, pkg) {
			if !strings.HasPrefix(dep, module) || dep == module || dep == module+strings.TrimPrefix(pkg, ".") {
				continue
			}
			require.True(t, within(dep, allowed), "%s imports %s", pkg, dep)
		}
	}
}

func within(dep string, allowed []string) bool {
	for _, a := range allowed {
		if dep == a || strings.HasPrefix(dep, a+"/") {
			return true
		}
	}
	return false
}

// TestDependenciesOfMirrorConfig: beside those of the mirror, only the configuration in YAML needs a
// library for that.
func TestDependenciesOfMirrorConfig(t *testing.T) {
	allowed := append(dependencies(t, "./mirror"), dependencies(t, "./client/login")...)
	allowed = append(allowed, "github.com/registrykit/registry/mirror/config", "github.com/registrykit/registry/certfile",
		"github.com/registrykit/registry/filter/glob", "github.com/registrykit/registry/internal/glob",
		"github.com/registrykit/registry/internal/strictyaml", "github.com/bmatcuk/doublestar/v4", "go.yaml.in/yaml/v4")
	for _, dep := range dependencies(t, "./mirror/config") {
		require.True(t, within(dep, allowed), "%s", dep)
	}
}

// TestDependenciesOfRetention: rules need libraries for patterns, versions and YAML.
func TestDependenciesOfRetention(t *testing.T) {
	for _, dep := range dependencies(t, "./retention") {
		require.True(t, within(dep, []string{
			"github.com/registrykit/registry", "github.com/opencontainers/go-digest",
			"github.com/opencontainers/image-spec/specs-go", "github.com/distribution/reference", "golang.org/x/sync",
			"github.com/bmatcuk/doublestar/v4", "github.com/Masterminds/semver/v3", "go.yaml.in/yaml/v4",
		}), "%s", dep)
	}
}

// TestDependenciesOfQuota: limits come from YAML and have patterns, and need a library for each.
func TestDependenciesOfQuota(t *testing.T) {
	for _, dep := range dependencies(t, "./quota") {
		require.True(t, within(dep, []string{
			"github.com/registrykit/registry", "github.com/opencontainers/go-digest",
			"github.com/opencontainers/image-spec/specs-go", "github.com/distribution/reference", "golang.org/x/sync",
			"github.com/bmatcuk/doublestar/v4", "go.yaml.in/yaml/v4",
		}), "%s", dep)
	}
}

// TestDependenciesOfManagement: the management API and its client need no router, and no generator of
// code. Only rules in YAML, patterns, versions and the sign-in by OpenID Connect need libraries. A
// client of the API does not have the server among its dependencies.
func TestDependenciesOfManagement(t *testing.T) {
	const module = "github.com/registrykit/registry"
	base := []string{"github.com/opencontainers/go-digest", "github.com/opencontainers/image-spec/specs-go",
		"github.com/distribution/reference", "golang.org/x/sync"}
	const patterns, yaml = "github.com/bmatcuk/doublestar/v4", "go.yaml.in/yaml/v4"
	passwords := []string{patterns, "golang.org/x/crypto/argon2", "golang.org/x/crypto/blake2b", "golang.org/x/sys/cpu",
		"golang.org/x/text/transform", "golang.org/x/text/unicode/norm"} // those of auth/accounts
	for pkg, allowed := range map[string][]string{
		"./api/types":  {module + "/api/types"},
		"./api/client": {module + "/api/client", module + "/api/types", module + "/auth", module + "/internal/options"},
		"./api":        slices.Concat(base, passwords, []string{module, yaml, "github.com/Masterminds/semver/v3"}),
		"./audit": slices.Concat(base[:2], []string{module + "/audit", module + "/auth", module + "/jobs",
			module + "/notification", module + "/storage/driver", "golang.org/x/sync/errgroup",
			module + "/internal/options", module + "/internal/parallel", module + "/internal/pause"}),
		"./search":       slices.Concat(base, passwords, []string{module}), // reads content in the storage
		"./auth/session": slices.Concat(base, passwords, []string{module}),
		"./auth/signin": slices.Concat(base, passwords, []string{module, yaml, "github.com/coreos/go-oidc/v3/oidc",
			"github.com/go-jose/go-jose/v4", "github.com/golang-jwt/jwt/v5", "golang.org/x/oauth2"}),
	} {
		for _, dep := range dependencies(t, pkg) {
			require.True(t, within(dep, allowed), "%s depends on %s", pkg, dep)
		}
	}
	for _, pkg := range []string{"./search", "./auth/session", "./auth/signin"} {
		for _, dep := range dependencies(t, pkg) {
			require.NotEqual(t, module+"/api", dep, pkg)
			require.False(t, pkg != "./search" && dep == module+"/storage", "%s depends on %s", pkg, dep)
		}
	}
}
