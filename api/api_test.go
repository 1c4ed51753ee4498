package api_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/registrytest"
)

// TestDescription: the description is valid, and has the routes that exist and no others.
func TestDescription(t *testing.T) {
	s := newSite(t, nil)
	require.Equal(t, s.api.Routes(), s.check.Operations())
}

// TestSummaries: the summary of each operation is a sentence.
func TestSummaries(t *testing.T) {
	files, err := filepath.Glob("openapi/*.yaml")
	require.NoError(t, err)
	summary := regexp.MustCompile(`(?m)^      summary: "?(.*?)"?$`)
	found := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range summary.FindAllSubmatch(content, -1) {
			found++
			require.Regexp(t, `^[A-Z].*\.$`, string(m[1]), file)
		}
	}
	require.Greater(t, found, 100)
}

func TestParts(t *testing.T) {
	s := newSite(t, nil)
	var parts types.PartList
	s.do(t, "", "GET", "/v1/parts", nil).want(200).into(&parts)
	require.Contains(t, parts.Items, "description")
}

// TestNoRoute: what does not exist is refused as a Problem.
func TestNoRoute(t *testing.T) {
	s := newSite(t, nil)
	s.do(t, "", "GET", "/v1/nothing", nil).fails(404, "NOT_FOUND")
	s.do(t, "", "GET", "/", nil).fails(404, "NOT_FOUND")
	a := s.do(t, "", "POST", "/v1/parts", "{}")
	a.fails(405, "UNSUPPORTED")
	require.Equal(t, "GET, HEAD", a.header.Get("Allow"))
	s.do(t, "", "HEAD", "/v1/parts", nil).want(200)
	wrong := s.do(t, "", "GET", "/v1/parts", nil, "Authorization: Basic Ym9zczp3cm9uZw==")
	wrong.fails(401, "UNAUTHORIZED")
	require.Equal(t, `Basic realm="registry"`, wrong.header.Get("WWW-Authenticate"))
}

// TestNew: an API over a registry that lets everybody do everything is refused.
func TestNew(t *testing.T) {
	_, err := api.New(nil, nil)
	require.Error(t, err)
	reg, err := registry.New(registrytest.NewStore(t), nil)
	require.NoError(t, err)
	_, err = api.New(reg, nil)
	require.ErrorContains(t, err, "Authorizer")
}
