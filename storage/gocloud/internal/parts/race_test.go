//go:build race

package parts

// maxTested is the size of the largest blob in the tests. The race detector notes each byte of a
// buffer that is read into.
const maxTested = 10<<30 + 5
