package oidc_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/oidc"
)

// job is a token of a platform, as a change of the usual one, and who it is. A token without name is
// refused.
type job struct {
	what   string
	claims map[string]any
	name   string
	groups []string
}

// platform is a platform with the claims that its documentation lists for a usual token.
type platform struct {
	file   string
	issuer string
	claims map[string]any
	jobs   []job
}

// object is an object in the claims.
type object = map[string]any

// github has the claims of docs.github.com, "OpenID Connect reference", as far as they matter. The job is that of
// a push to main.
var github = platform{
	file: "github.yaml", issuer: "https://token.actions.githubusercontent.com",
	claims: object{
		"sub": "repo:acme/app:ref:refs/heads/main", "aud": "registry.example", "ref": "refs/heads/main",
		"ref_type": "branch", "ref_protected": "true", "sha": "c040cae0f0dc81641728557b80f09cfa23b83fe5",
		"repository": "acme/app", "repository_id": "74", "repository_owner": "acme", "repository_owner_id": "65",
		"repository_visibility": "private", "run_id": "22259804324", "run_number": "42", "run_attempt": "1",
		"runner_environment": "github-hosted", "actor": "ann", "actor_id": "12", "workflow": "Release",
		"workflow_ref":     "acme/app/.github/workflows/release.yml@refs/heads/main",
		"job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main",
		"event_name":       "push", "head_ref": "", "base_ref": "",
	},
	jobs: []job{
		{"the release", nil, "github:acme/app", []string{"releasers"}},
		{"the release, started by hand", object{"event_name": "workflow_dispatch"}, "github:acme/app",
			[]string{"releasers"}},
		{"another workflow", object{"workflow_ref": "acme/app/.github/workflows/test.yml@refs/heads/main"},
			"github:repo:acme/app:ref:refs/heads/main", []string{"builders"}},
		{"another branch", object{"sub": "repo:acme/app:ref:refs/heads/fix", "ref": "refs/heads/fix",
			"workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/fix"},
			"github:repo:acme/app:ref:refs/heads/fix", []string{"builders"}},
		{"a tag that looks like the branch", object{"sub": "repo:acme/app:ref:refs/tags/main", "ref": "refs/tags/main",
			"workflow_ref": "acme/app/.github/workflows/release.yml@refs/tags/main"},
			"github:repo:acme/app:ref:refs/tags/main", []string{"builders"}},
		{"another repository", object{"sub": "repo:acme/tool:ref:refs/heads/main", "repository": "acme/tool",
			"workflow_ref": "acme/tool/.github/workflows/release.yml@refs/heads/main"},
			"github:repo:acme/tool:ref:refs/heads/main", []string{"builders"}},
		{"a pull request", object{"sub": "repo:acme/app:pull_request", "ref": "refs/pull/7/merge",
			"event_name": "pull_request", "workflow_ref": "acme/app/.github/workflows/release.yml@refs/pull/7/merge",
			"head_ref": "fix", "base_ref": "main"}, "github:repo:acme/app:pull_request", []string{"builders"}},
		{"a pull request from a fork, with the rights of main", object{"event_name": "pull_request_target",
			"head_ref": "main", "base_ref": "main"}, "", nil},
		{"a workflow in a fork", object{"sub": "repo:evil/app:ref:refs/heads/main", "repository": "evil/app",
			"repository_owner": "evil", "repository_owner_id": "66",
			"workflow_ref": "evil/app/.github/workflows/release.yml@refs/heads/main"}, "", nil},
		{"a fork that calls the workflow of acme", object{"sub": "repo:evil/app:ref:refs/heads/main",
			"repository": "evil/app", "repository_owner": "evil", "repository_owner_id": "66",
			"workflow_ref": "evil/app/.github/workflows/x.yml@refs/heads/main"}, "", nil},
		{"somebody who took the freed name acme", object{"repository_owner_id": "67"}, "", nil},
		{"no claim about the workflow", object{"workflow_ref": nil, "event_name": nil}, "", nil},
		{"the default audience", object{"aud": "https://github.com/acme"}, "", nil},
	},
}

// gitlab has the claims of docs.gitlab.com, "ID token authentication". runner_id is a number there.
var gitlab = platform{
	file: "gitlab.yaml", issuer: "https://gitlab.com",
	claims: object{
		"sub": "project_path:acme/app:ref_type:branch:ref:main", "aud": "registry.example",
		"namespace_id": "72", "namespace_path": "acme", "project_id": "42", "project_path": "acme/app",
		"user_id": "1", "user_login": "ann", "user_email": "ann@example.com", "user_access_level": "maintainer",
		"pipeline_id": "574", "pipeline_source": "push", "job_id": "302", "ref": "main", "ref_type": "branch",
		"ref_path": "refs/heads/main", "ref_protected": "true", "runner_id": 1, "runner_environment": "gitlab-hosted",
		"sha": "714a629c0b401fdce83e847fc9589983fc6f46bc", "project_visibility": "private",
		"ci_config_ref_uri": "gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main", "groups_direct": []string{"acme"},
	},
	jobs: []job{
		{"the release", nil, "gitlab:acme/app", []string{"releasers"}},
		{"another pipeline file", object{"ci_config_ref_uri": "gitlab.com/acme/app//other.yml@refs/heads/main"},
			"gitlab:project_path:acme/app:ref_type:branch:ref:main", []string{"builders"}},
		{"another branch", object{"ref": "fix", "sub": "project_path:acme/app:ref_type:branch:ref:fix",
			"ref_protected": "false", "ci_config_ref_uri": "gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/fix"}, "", nil},
		{"a protected tag", object{"ref": "v1", "ref_type": "tag", "sub": "project_path:acme/app:ref_type:tag:ref:v1",
			"ci_config_ref_uri": "gitlab.com/acme/app//.gitlab-ci.yml@refs/tags/v1"},
			"gitlab:project_path:acme/app:ref_type:tag:ref:v1", []string{"builders"}},
		{"a project in a subgroup", object{"namespace_path": "acme/tools", "project_path": "acme/tools/x", "project_id": "9",
			"sub": "project_path:acme/tools/x:ref_type:branch:ref:main"},
			"gitlab:project_path:acme/tools/x:ref_type:branch:ref:main", []string{"builders"}},
		{"a merge request from main of a fork", object{"pipeline_source": "merge_request_event", "ref_protected": "false"},
			"", nil},
		{"the same where the claims name the fork", object{"pipeline_source": "merge_request_event",
			"project_path": "evil/app", "project_id": "77", "namespace_path": "evil", "namespace_id": "78"}, "", nil},
		{"another group whose name begins alike", object{"namespace_path": "acme-evil", "project_path": "acme-evil/app",
			"project_id": "77"}, "", nil},
		{"a project that was made again", object{"project_id": "43"},
			"gitlab:project_path:acme/app:ref_type:branch:ref:main", []string{"builders"}},
		{"a token for another service", object{"aud": "https://vault.example"}, "", nil},
	},
}

// kubernetes has the claims of kubernetes.io, "Managing Service Accounts": a token that is bound to a pod.
var kubernetes = platform{
	file: "kubernetes.yaml", issuer: "https://kubernetes.default.svc.cluster.local",
	claims: object{
		"sub": "system:serviceaccount:build:builder", "aud": []string{"registry.example"},
		"jti": "aed34954-b33a-4142-b1ec-389d6bbb4936",
		"kubernetes.io": object{
			"namespace": "build", "node": object{"name": "n1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
			"pod":            object{"name": "build-7", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
			"serviceaccount": object{"name": "builder", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
			"warnafter":      1797340807,
		},
	},
	jobs: []job{
		{"the builder", nil, "cluster:build/builder", []string{"releasers"}},
		{"another service account", object{"sub": "system:serviceaccount:build:default",
			"kubernetes.io": object{"namespace": "build", "serviceaccount": object{"name": "default"}}}, "", nil},
		{"a builder in another namespace", object{"sub": "system:serviceaccount:evil:builder",
			"kubernetes.io": object{"namespace": "evil", "serviceaccount": object{"name": "builder"}}}, "", nil},
		{"a namespace and an account that read alike", object{"sub": "system:serviceaccount:build:builder:x"}, "", nil},
		{"production", object{"sub": "system:serviceaccount:production:web",
			"kubernetes.io": object{"namespace": "production", "serviceaccount": object{"name": "web"}}},
			"cluster:system:serviceaccount:production:web", []string{"production"}},
		{"a token for the API of the cluster", object{"aud": []string{"https://kubernetes.default.svc.cluster.local"}},
			"", nil},
		{"a token that another service has, too", object{"aud": []string{"registry.example", "vault"}}, "", nil},
	},
}

// google has the claims of cloud.google.com, "Verify VM identity", with format=full.
var google = platform{
	file: "google.yaml", issuer: "https://accounts.google.com",
	claims: object{
		"sub": "107517467455664443765", "aud": "registry.example", "azp": "107517467455664443765",
		"email": "builder@acme-prod.iam.gserviceaccount.com", "email_verified": true,
		"google": object{"compute_engine": object{
			"instance_creation_timestamp": 1481157925, "instance_id": "152986662232938449", "instance_name": "build-1",
			"project_id": "acme-prod", "project_number": 739419398126, "zone": "europe-west1-b",
		}},
	},
	jobs: []job{
		{"the builder", nil, "google:builder@acme-prod.iam.gserviceaccount.com", []string{"releasers"}},
		{"the builder without a machine", object{"google": nil}, "google:builder@acme-prod.iam.gserviceaccount.com",
			[]string{"releasers"}},
		{"an address that is not verified", object{"email_verified": false, "google": nil}, "", nil},
		{"another service account on a machine", object{"email": "web@acme-prod.iam.gserviceaccount.com"},
			"google:machine:152986662232938449", []string{"production"}},
		{"another service account", object{"email": "web@acme-prod.iam.gserviceaccount.com", "google": nil}, "", nil},
		{"the same name in another project", object{"email": "builder@evil.iam.gserviceaccount.com",
			"google": object{"compute_engine": object{"project_id": "evil", "zone": "europe-west1-b", "instance_id": "1"}}},
			"", nil},
		{"a person", object{"email": "ann@gmail.com", "google": nil, "sub": "1"}, "", nil},
	},
}

// azure has the claims of learn.microsoft.com, "Access token claims reference", version 1.0, of a managed identity.
var azure = platform{
	file: "azure.yaml", issuer: "https://sts.windows.net/11111111-1111-1111-1111-111111111111/",
	claims: object{
		"sub": "22222222-2222-2222-2222-222222222222", "aud": "api://registry.example",
		"appid": "33333333-3333-3333-3333-333333333333", "appidacr": "2", "ver": "1.0",
		"idp": "https://sts.windows.net/11111111-1111-1111-1111-111111111111/",
		"oid": "22222222-2222-2222-2222-222222222222", "tid": "11111111-1111-1111-1111-111111111111",
		"xms_mirid": "/subscriptions/4/resourcegroups/build/providers/Microsoft.ManagedIdentity/" +
			"userAssignedIdentities/builder",
	},
	jobs: []job{
		{"the builder", nil, "azure:22222222-2222-2222-2222-222222222222", []string{"releasers"}},
		{"another identity", object{"oid": "4", "sub": "4"}, "", nil},
		{"an application with roles", object{"oid": "4", "sub": "4", "roles": []string{"Registry.Push", "Other.Role"}},
			"azure:4", []string{"azure:Other.Role", "azure:Registry.Push"}},
		{"another tenant", object{"tid": "5"}, "", nil},
		{"a token for the management of Azure", object{"aud": "https://management.azure.com/"}, "", nil},
	},
}

// TestPlatforms loads the example of each platform and logs in with the tokens that the platform gives.
func TestPlatforms(t *testing.T) {
	for _, p := range []platform{github, gitlab, kubernetes, google, azure} {
		t.Run(p.file, func(t *testing.T) {
			is := newIssuer(t, p.issuer)
			content, err := os.ReadFile(filepath.Join("testdata", p.file))
			require.NoError(t, err)
			dir := t.TempDir()
			path := filepath.Join(dir, p.file)
			require.NoError(t, os.WriteFile(path, content, 0o600))
			keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
				{Key: is.keys[0].private.Public(), KeyID: "one", Use: "sig"}}})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "cluster-keys.json"), keys, 0o600))
			a, err := oidc.OpenAt(is.clock.Now, is.options(), path)
			require.NoError(t, err)
			for _, j := range p.jobs {
				claims := maps.Clone(p.claims)
				maps.Copy(claims, j.claims)
				identity, err := login(a, is.token(t, claims))
				if j.name == "" {
					require.Error(t, err, j.what)
					t.Logf("%s: %v", j.what, err)
					continue
				}
				require.NoError(t, err, j.what)
				require.Equal(t, j.name, identity.Name, j.what)
				require.Equal(t, j.groups, identity.Groups, j.what)
			}
		})
	}
}
