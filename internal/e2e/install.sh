#!/usr/bin/env bash
# Installs the programs of harness/programs.txt, and prints the folder of those that it built.
# The script is idempotent: it runs apt only when a package is missing, and builds a program again only when its line in
# the list, go.mod or the version of Go has changed. It fails when a program cannot be installed: no test is skipped
# because its program is missing.
#
#   install.sh         everything that .ci/run needs
#   install.sh full    also the programs of `make e2e-full`, which take many minutes to build
#   install.sh peer    also what the measurements need: the registry that `make compare` measures against, and benchstat
set -euo pipefail
cd "$(dirname "$0")"

cache=${REGISTRY_CACHE:-$HOME/.cache/registrykit}
bin=$cache/bin
sets=" ci $* "

# programs prints the programs of the sets, one a line: its name, how to install it, and the arguments.
programs() {
	local name set how args
	while read -r name set how args; do
		[[ -z $name || $name == \#* || $sets != *" $set "* ]] || printf '%s %s %s\n' "$name" "$how" "$args"
	done <harness/programs.txt
}

apt_install() {
	local missing=() package
	for package in "$@"; do
		dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
	done
	((${#missing[@]})) || return 0
	local sudo=()
	((EUID == 0)) || sudo=(sudo)
	# RUNLEVEL=1: the packages must not start daemons. Tests start their own, in a temporary folder.
	"${sudo[@]}" apt-get update -qq
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
}

# once STAMP INPUTS COMMAND... runs the command, unless it has run before with these inputs and this version of Go.
once() {
	local stamp=$bin/.$1 key
	key=$(printf '%s\n' "$*" "$(go version)" | sha256sum)
	shift 2
	[[ -f $stamp && $(<"$stamp") == "$key" ]] && return 0
	GOBIN=$bin "$@"
	printf '%s\n' "$key" >"$stamp"
}

# npm_install NAME PACKAGE@VERSION installs a package of npm. It installs Node.js and npm from apt if they are missing.
npm_install() {
	command -v npm >/dev/null || apt_install nodejs npm
	local dir=$cache/${2%@*}
	mkdir -p "$dir"
	(cd "$dir" && npm install --no-audit --no-fund --no-save --silent "$2")
	ln -sf "$dir/node_modules/.bin/$1" "$bin/$1"
}

# npmfile NAME PACKAGE@VERSION FILE installs a package of npm, and links its file as NAME.
npmfile() {
	npm_install "$1" "$2"
	ln -sf "$cache/${2%@*}/node_modules/${2%@*}/$3" "$bin/$1"
}

# toxiproxy NAME PACKAGE@VERSION builds the program, which go install would call "server".
toxiproxy() (
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	GOBIN=$dir go install "$2"
	mv "$dir/server" "$bin/$1"
)

# buildkit NAME MODULE VERSION builds in a module of its own: `go install PACKAGE@VERSION` refuses a module whose go.mod
# excludes versions.
buildkit() (
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	cd "$dir"
	go mod init buildkit
	go get -tool "$2/cmd/$1@$3"
	go install "$2/cmd/$1"
)

# clone NAME REPOSITORY COMMIT FOLDER builds the program in a folder of a repository that no module proxy has.
clone() (
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	git init -q "$dir"
	cd "$dir"
	git fetch -q --depth 1 "$2" "$3"
	git checkout -q FETCH_HEAD
	cd "$4"
	go build -o "$bin/$1" .
)

# conformance1 compiles the conformance suite of the 1.x releases of the spec, which is a test package.
conformance1() (
	cd conformance1
	go test -c -o "$bin/conformance1" github.com/opencontainers/distribution-spec/conformance
)

# install PROGRAM HOW ARGUMENTS...
install() {
	local name=$1 how=$2
	shift 2
	case $how in
	system | apt) ;; # all packages are installed at once, below
	tool) once tools "$(cat go.mod go.sum)" go install tool ;;
	go) once "$name" "" go install "$1" ;;
	npm) once "$name" "" npm_install "$name" "$1" ;;
	npmfile) once "$name" "" npmfile "$name" "$@" ;;
	conformance1) once "$name" "$(cat conformance1/go.mod conformance1/go.sum)" conformance1 ;;
	toxiproxy | buildkit | clone) once "$name" "" "$how" "$name" "$@" ;;
	*) echo "harness/programs.txt: $name: unknown way of installation $how" >&2 && return 1 ;;
	esac
	[[ -e $bin/$name ]] || command -v "$name" >/dev/null || { echo "$name was not installed" >&2 && return 1; }
}

mkdir -p "$bin"
{
	apt_install $(programs | while read -r _ how args; do [[ $how != apt ]] || echo "$args"; done)
	while read -r name how args; do
		# shellcheck disable=SC2086 # arguments are words
		install "$name" "$how" $args </dev/null
	done < <(programs)
} >&2
echo "$bin"
