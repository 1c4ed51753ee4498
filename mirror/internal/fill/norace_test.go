//go:build !race

package fill_test

// raceEnabled reports whether the race detector is on, which needs memory of its own.
const raceEnabled = false
