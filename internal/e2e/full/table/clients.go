package main

// client is a line of the table.
type client struct {
	name    string
	version func() (string, error)
	claims  []claim
}

// claim is what holds if all of the tests have passed.
type claim struct {
	what  string
	tests []string
}

func shown(what string, tests ...string) claim { return claim{what: what, tests: tests} }

const nginx = "through nginx with TLS"

// access is what every client with logins has shown.
func access(client string) claim {
	return shown("login, logout, wrong password; anonymous pulls beside pushes that are refused; "+
		"a token that expires in mid-push",
		"access.TestClients/"+client, "access.TestAnonymousPull/"+client, "access.TestExpiry/"+client)
}

var clients = []client{
	{"docker", printed("dockerd", "--version"), []claim{
		shown("push, pull by tag and digest, mounts", "clients.TestDocker"),
		shown("pull by platform", "clients.TestDockerManifestList"),
		shown(nginx, "full.TestNginxDocker"),
		access("docker"),
	}},
	{"buildkit", built("buildkitd"), []claim{
		shown("push, pull as base; layers of zstd", "full.TestBuildkitZstd"),
		shown("registry cache with `image-manifest` true and false, inline cache", "full.TestBuildkitCache",
			"full.TestBuildkitInline"),
		shown("index of platforms with attestations, as of buildx", "full.TestBuildkitIndex"),
	}},
	{"containerd (ctr)", printed("containerd", "--version"), []claim{
		shown("push and pull of an index of platforms", "clients.TestContainerd"),
		shown(nginx, "full.TestNginxContainerd"),
		access("containerd"),
	}},
	{"podman", printed("podman", "--version"), []claim{
		shown("push, pull, list of tags", "clients.TestPodman"),
		shown("index of platforms", "clients.TestPodmanManifest"),
		shown("layers of zstd and zstd:chunked", "full.TestPodmanChunked"),
		shown(nginx, "full.TestNginxContainers"),
		access("podman"),
	}},
	{"buildah", printed("buildah", "--version"), []claim{
		shown("push and pull "+nginx, "full.TestNginxContainers"),
	}},
	{"skopeo", printed("skopeo", "--version"), []claim{
		shown("copy, inspect, list of tags, delete", "clients.TestSkopeoImage"),
		shown("index of platforms", "clients.TestSkopeoIndex"),
		shown("Docker schema 2, zstd", "clients.TestSkopeoFormats"),
		shown("layer of 500 MB", "clients.TestSkopeoBigLayer"),
		shown("whole repository (sync)", "full.TestSkopeoRepository"),
		shown(nginx, "full.TestNginxContainers"),
		access("skopeo"),
	}},
	{"crane", built("crane"), []claim{
		shown("push, pull, copy with mounts, list, catalogue, validate", "clients.TestCraneImage"),
		shown("delete of tags and manifests", "clients.TestCraneImage", "clients.TestCraneDeleteTag"),
		shown("index of platforms", "clients.TestCraneIndex"),
		shown("layer of 500 MB", "clients.TestCraneBigLayer"),
		shown("whole repository", "full.TestCraneRepository"),
		shown(nginx, "full.TestNginxGo"),
		access("crane"),
	}},
	{"regctl", built("regctl"), []claim{
		shown("copy, list, delete of tags and manifests", "clients.TestRegctlImage"),
		shown("index of platforms", "clients.TestRegctlIndex"),
		shown("chunked push", "clients.TestRegctlChunks"),
		shown("artifacts, referrers", "clients.TestRegctlReferrers"),
		shown("whole repository with referrers", "full.TestRegctlRepository"),
		shown(nginx, "full.TestNginxGo"),
		access("regctl"),
	}},
	{"oras", built("oras"), []claim{
		shown("artifacts, blobs, delete", "clients.TestOrasArtifact", "clients.TestOrasBlob"),
		shown("attach, discover, recursive copy, backup, restore", "clients.TestOrasReferrers", "full.TestOras"),
		shown("index by hand", "full.TestOrasIndex"),
		shown(nginx, "full.TestNginxGo"),
		access("oras"),
	}},
	{"helm", built("helm"), []claim{
		shown("push, pull, show, template, by version, digest and greatest version", "full.TestHelm"),
		shown("dependencies", "full.TestHelmDependency"),
		shown(nginx, "full.TestNginxGo"),
		access("helm"),
	}},
	{"cosign", built("cosign"), []claim{
		shown("sign, verify, attest, verify-attestation, tree; signatures as referrers and as tags", "full.TestCosign"),
		shown(nginx, "full.TestNginxGo"),
	}},
	{"go-containerregistry (library)", required("github.com/google/go-containerregistry"), []claim{
		shown("images, lists, deletes", "libraries.TestContainerRegistryImage"),
		shown("indexes", "libraries.TestContainerRegistryIndex"),
		shown("mounts", "libraries.TestContainerRegistryMount"),
		shown("referrers", "libraries.TestContainerRegistryReferrers"),
	}},
	{"oras-go (library)", required("oras.land/oras-go/v2"), []claim{
		shown("copy, tag, resolve, delete", "libraries.TestOrasCopy"),
		shown("pack, referrers page by page, copy of graphs", "libraries.TestOrasReferrers"),
		shown("mounts, ranges", "libraries.TestOrasBlob"),
	}},
	{"regclient (library)", required("github.com/regclient/regclient"), []claim{
		shown("copy of images, delete of tags and manifests, mounts", "libraries.TestRegclientImage"),
		shown("chunked push", "libraries.TestRegclientChunks"),
		shown("referrers", "libraries.TestRegclientReferrers"),
	}},
}
