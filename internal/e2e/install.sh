#!/usr/bin/env bash
# Installs everything the tests, the linters and the comparison need, and prints the folder of the Go tools.
# Idempotent: apt is asked only when a package is missing, and the Go tools are built again only when a pin below,
# go.mod or the Go version changed. What cannot be installed ends the run: a missing tool is never a skipped test.
#
#   install.sh         everything that .ci/run needs
#   install.sh peer    also the registry that `make compare` measures against
set -euo pipefail
cd "$(dirname "$0")"

cache=${REGISTRY_CACHE:-$HOME/.cache/registrykit}
bin=$cache/bin

# gcc is for the race detector and for the program that spin generates.
packages=(skopeo podman docker.io containerd runc umoci buildah spin busybox-static gcc libc6-dev)

# Kept out of go.mod: golangci-lint asks not to be built against another module's dependency versions, and the peer
# must be what its users run.
golangci=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
peer=github.com/distribution/distribution/v3/cmd/registry@v3.1.2
# Storage servers, as separate processes.
gcs=github.com/fsouza/fake-gcs-server@v1.56.1
azurite=3.35.0 # of npm
minio=github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
toxiproxy=github.com/Shopify/toxiproxy/v2@v2.5.0

apt_install() {
	local missing=() package
	for package in "${packages[@]}"; do
		dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
	done
	((${#missing[@]})) || return 0
	apt_install_now "${missing[@]}"
}

apt_install_now() {
	local sudo=()
	((EUID == 0)) || sudo=(sudo)
	# A daemon that the package would start is not wanted: tests start their own, below a temporary directory.
	"${sudo[@]}" apt-get update -qq
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get install -y -qq --no-install-recommends "$@" </dev/null
}

# once STAMP INPUTS COMMAND... runs the command unless it ran before with these inputs and this Go.
once() {
	local stamp=$bin/.$1 key
	key=$(printf '%s\n' "$*" "$(go version)" | sha256sum)
	shift 2
	[[ -f $stamp && $(<"$stamp") == "$key" ]] && return 0
	GOBIN=$bin "$@"
	printf '%s\n' "$key" >"$stamp"
}

# install_azurite needs Node.js and npm, of the system or of apt.
install_azurite() {
	command -v npm >/dev/null || apt_install_now nodejs npm
	mkdir -p "$cache/azurite"
	(cd "$cache/azurite" && npm install --no-audit --no-fund --no-save --silent "azurite@$azurite")
	ln -sf "$cache/azurite/node_modules/.bin/azurite-blob" "$bin/azurite-blob"
}

# install_toxiproxy gives the program a name that says what it is: by itself it is called "server".
install_toxiproxy() (
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	GOBIN=$dir go install "${toxiproxy/@//cmd/server@}"
	mv "$dir/server" "$bin/toxiproxy-server"
)

mkdir -p "$bin"
apt_install >&2
once tools "$(cat go.mod go.sum)" go install tool >&2
once golangci "" go install "$golangci" >&2
once gcs "" go install "$gcs" >&2
once minio "" go install "$minio" >&2
once azurite "$azurite" install_azurite >&2
once toxiproxy "$toxiproxy" install_toxiproxy >&2
if [[ ${1-} == peer ]]; then
	once peer "" go install "$peer" >&2
fi
echo "$bin"
