//go:build !race

package rules_test

// raceDetector reports whether the race detector is on, which slows everything down.
const raceDetector = false
