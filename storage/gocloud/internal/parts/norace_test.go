//go:build !race

package parts

// maxTested is the size of the largest blob in the tests.
const maxTested = 5<<40 + 5
