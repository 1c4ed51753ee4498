package glob

// Limits of patterns, the same as those of auth/rules.
const (
	maxPattern      = 512 // bytes
	maxAlternatives = 64  // that the braces of one part of a pattern come to
)

// alternatives returns how many patterns without braces a valid pattern stands for; of more than
// maxAlternatives it returns some greater number. doublestar tries them one after the other.
// Classes must be plain.
func alternatives(pattern string) int {
	// sum is the number of alternatives of the innermost group up to the last comma, product that
	// of the present one.
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

// plainClasses reports whether no class of a valid pattern has a brace or a comma in it, as no name
// does. doublestar takes them for those of a group in some places and not in others.
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
