package glob

// Limits of patterns. They equal those of auth/rules.
const (
	// MaxPattern is the maximum length of a pattern, in bytes.
	MaxPattern = 512

	maxAlternatives = 64 // per pattern, after expansion of its braces
)

// alternatives returns the number of patterns without braces that a valid pattern expands to.
// doublestar tries them one after the other. Beyond maxAlternatives the result is some greater
// number. Classes must be plain.
func alternatives(pattern string) int {
	// sum counts the alternatives of the innermost group up to the last comma; product counts those
	// of the current alternative.
	type group struct{ sum, product int }
	var outer []group
	now := group{product: 1}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			i++
		case c == '{':
			outer = append(outer, now)
			now = group{product: 1}
		case c == ',' && len(outer) > 0:
			now = group{sum: min(now.sum+now.product, maxAlternatives+1), product: 1}
		case c == '}' && len(outer) > 0:
			total := min(now.sum+now.product, maxAlternatives+1)
			now = outer[len(outer)-1]
			outer = outer[:len(outer)-1]
			now.product = min(now.product*total, maxAlternatives+1)
		}
	}
	return now.product
}

// plainClasses reports whether no class of a valid pattern contains a brace or a comma. No name
// contains them, and doublestar treats them inconsistently.
func plainClasses(pattern string) bool {
	class := false
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			i++
		case !class:
			class = c == '['
		case c == ']':
			class = false
		case c == '{', c == '}', c == ',':
			return false
		}
	}
	return true
}
