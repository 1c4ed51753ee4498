#!/usr/bin/env bash
# Compares the benchmarks of the library before and after a change (`make bench-change`):
#
#   bench-change.sh [COMMIT [PACKAGE...]]
#
# The base is COMMIT, by default the commit where this branch left the main branch. The change is the working tree. The
# packages are the registry and its storage by default. COUNT is the number of runs of each side (default 6), BENCH the
# pattern of benchmarks (default all), BENCHTIME the time of each (default 0.3s). The sides take turns, so that other
# load on the machine affects both.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${REGISTRY_CACHE:-$HOME/.cache/registrykit}/bin

base=${1-}
[[ -n $base ]] || base=$(git merge-base origin/main HEAD 2>/dev/null) || base=$(git rev-parse HEAD)
shift $(($# > 0))
(($#)) || set -- . ./storage ./storage/disk ./storage/memory ./storage/internal/...

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/base"
git archive "$base" | tar -x -C "$dir/base"

# run NAME FOLDER PACKAGE... adds a run of the benchmarks to the results of NAME.
run() {
	local name=$1 folder=$2
	shift 2
	(cd "$folder" && go test -run '^$' -bench "${BENCH:-.}" -benchtime "${BENCHTIME:-0.3s}" -benchmem "$@") >>"$dir/$name.txt"
}

for ((i = 0; i < ${COUNT:-6}; i++)); do
	run base "$dir/base" "$@"
	run change . "$@"
done
"$bin/benchstat" "base=$dir/base.txt" "change=$dir/change.txt"
