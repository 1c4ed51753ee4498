#!/usr/bin/env bash
# Installs what `make e2e-full` needs: everything of install.sh, and the clients that take minutes of a processor to build,
# which CI does without. Idempotent, as install.sh is, whose functions it uses.
set -euo pipefail
cd "$(dirname "$0")"
. ./install.sh # prints the folder of the tools

packages=(nginx-light)

# Each is built by itself, with the versions of its own dependencies: what is tested is what its users run.
helm=helm.sh/helm/v3/cmd/helm@v3.22.0
cosign=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
versitygw=github.com/versity/versitygw/cmd/versitygw@v1.8.0
buildkit=github.com/moby/buildkit
buildkit_version=v0.34.2

# install_buildkit builds in a module of its own: "go install" of a version refuses a go.mod that excludes versions.
install_buildkit() (
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	cd "$dir"
	go mod init buildkit
	go get -tool "$buildkit/cmd/buildkitd@$buildkit_version" "$buildkit/cmd/buildctl@$buildkit_version"
	go install "$buildkit/cmd/buildkitd" "$buildkit/cmd/buildctl"
)

apt_install >&2
once helm "" go install "$helm" >&2
once cosign "" go install "$cosign" >&2
once versitygw "" go install "$versitygw" >&2
once buildkit "$buildkit_version" install_buildkit >&2
