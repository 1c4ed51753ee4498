//go:build !race

package parts

// maxTested is the size of the largest blob in the tests, in bytes.
const maxTested = 5<<40 + 5
