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
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz PACKAGE NAME runs one target.
fuzz() { go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" "$1" </dev/null 2>&1 | tee "$log"; }

while read -r package name; do
	echo "$package $name"
	# On a busy machine, go test sometimes takes the end of the time for a failure of the target. It has found no input
	# then, and the target runs again.
	fuzz "$package" "$name" || {
		grep -q '^ *context deadline exceeded$' "$log" && ! grep -q 'Failing input\|panic:' "$log" &&
			echo "again: $package $name" && fuzz "$package" "$name"
	}
done <<<"$targets"
