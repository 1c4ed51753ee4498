// Package bytesize reads and writes numbers of bytes as people write them, such as 10GiB.
package bytesize

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// units are the units that Parse accepts, in lower case and without the final "b".
var units = map[string]int64{
	"":  1,
	"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18,
	"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40, "pi": 1 << 50, "ei": 1 << 60,
}

// errSyntax is returned for text that is not a number of bytes.
var errSyntax = errors.New("not a number of bytes, such as 1048576, 500MB or 10GiB")

// errRange is returned for a number of bytes that an int64 cannot hold.
var errRange = errors.New("more than 8 EiB")

// errFraction is returned for a number such as 0.5 B.
var errFraction = errors.New("not a whole number of bytes")

// maxDigits is the maximum length of the number, in characters.
const maxDigits = 40

// Parse returns the number of bytes that s states. s is a decimal number, which may have a fraction,
// and an optional unit: B; kB, MB, GB, TB, PB and EB are powers of 1000; KiB, MiB, GiB, TiB, PiB and
// EiB are powers of 1024. The final B may be missing, upper and lower case mean the same, and a space
// may stand before the unit.
//
// Errors: an error if s has another form, is negative, is not a whole number of bytes, or is larger
// than an int64.
func Parse(s string) (int64, error) {
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := strings.ToLower(s[len(number):])
	if unit != "" {
		number = strings.TrimSuffix(number, " ")
	}
	unit = strings.TrimSuffix(unit, "b")
	factor, ok := units[unit]
	if !ok || !isDecimal(number) {
		return 0, errSyntax
	}
	n, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, errSyntax
	}
	n.Mul(n, new(big.Rat).SetInt64(factor))
	switch {
	case !n.IsInt():
		return 0, errFraction
	case n.Cmp(new(big.Rat).SetInt64(math.MaxInt64)) > 0:
		return 0, errRange
	}
	return n.Num().Int64(), nil
}

// isDecimal reports whether s consists of digits, with at most one point between two of them.
func isDecimal(s string) bool {
	whole, fraction, point := strings.Cut(s, ".")
	return len(s) <= maxDigits && isDigits(whole) && (!point || isDigits(fraction))
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// Format returns n with the largest unit that is a power of 1024 and not larger than n, such as
// "1.5 GiB". It rounds to three digits, so Parse may return another number.
func Format(n int64) string {
	const prefixes = "KMGTPE"
	value, unit := float64(n), -1
	for math.Abs(value) >= 1024 && unit < len(prefixes)-1 {
		value, unit = value/1024, unit+1
	}
	if unit < 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	if math.Abs(value) >= 1023.5 && unit < len(prefixes)-1 { // would be rounded to 1024
		value, unit = value/1024, unit+1
	}
	return short(value) + " " + prefixes[unit:unit+1] + "iB"
}

// short returns value with at most three significant digits, or its whole part, without zeros at
// the end of the fraction.
func short(value float64) string {
	digits := 2
	switch abs := math.Abs(value); {
	case abs >= 99.95:
		digits = 0
	case abs >= 9.995:
		digits = 1
	}
	s := strconv.FormatFloat(value, 'f', digits, 64)
	if digits > 0 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
