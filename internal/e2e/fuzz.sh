#!/usr/bin/env bash
# Runs every fuzz target of some packages, each for a while: fuzz.sh TIME [PACKAGE...]. Default: 10s, and all packages of
# the library. A target that fails does not stop the others.
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

# late reports whether no input has failed, but go test has taken the end of the time for a failure of the target, as it
# sometimes does on a busy machine.
late() { grep -q '^ *context deadline exceeded$' "$log" && ! grep -q 'Failing input\|panic:' "$log"; }

failed=()
while read -r package name; do
	echo "$package $name"
	if fuzz "$package" "$name"; then continue; fi
	if late; then
		echo "again: $package $name"
		if fuzz "$package" "$name"; then continue; fi
	fi
	failed+=("$package $name")
done <<<"$targets"
((${#failed[@]} == 0)) || { printf 'failed: %s\n' "${failed[@]}"; exit 1; }
