//go:build !race

package rules_test

// raceDetector is on where nothing is as fast as it is.
const raceDetector = false
