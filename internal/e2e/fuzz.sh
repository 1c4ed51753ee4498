#!/usr/bin/env bash
# Runs every fuzz target of some packages, each for a while: fuzz.sh TIME [PACKAGE...]. Default: 10s, and all packages of
# the library.
set -euo pipefail
cd "$(dirname "$0")/../.."
# go test lists the names of the targets of a package, and then the package.
time=${1-10s}
shift || true
targets=$(go test -list '^Fuzz' "${@:-./...}" |
	awk '/^Fuzz/ {name[++n] = $1} /^ok/ {for (i = 1; i <= n; i++) print $2, name[i]; n = 0}')
[[ -n $targets ]] || { echo 'no fuzz target was found'; exit 1; }
while read -r package name; do
	echo "$package $name"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package" </dev/null
done <<<"$targets"
