//go:build race

package parts

// maxTested is the size of the largest blob in the tests, in bytes. It is small because the race
// detector tracks each byte that is read into a buffer.
const maxTested = 10<<30 + 5
