package reference

// MaxNameLength is the maximum length of a repository name, in bytes. The specification sets no
// limit, but warns that clients limit host and name together to 255. distribution/reference limits
// the name to 255.
const MaxNameLength = 255

// CheckName returns an error unless name is a repository name: components of lower-case letters and
// digits, joined by "/". Inside a component, one ".", one or two "_", or any number of "-" may
// separate letters and digits:
//
//	[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*
//
// So a name has no empty, "." or ".." component. The error wraps [ErrName].
func CheckName(name string) error {
	switch {
	case name == "":
		return defect(ErrName, name, "it is empty")
	case len(name) > MaxNameLength:
		return defect(ErrName, name, "it is longer than 255 bytes")
	}
	prev, double := byte('/'), false // double: prev is the second "_" of two
	for i := 0; i < len(name); i++ {
		c := name[i]
		allowed := false
		switch {
		case isLowerAlnum(c):
			allowed = true
		case c == '/', c == '.':
			allowed = isLowerAlnum(prev)
		case c == '_':
			allowed = isLowerAlnum(prev) || prev == '_' && !double
		case c == '-':
			allowed = isLowerAlnum(prev) || prev == '-'
		case 'A' <= c && c <= 'Z':
			return defectAt(ErrName, name, i, "upper-case letter")
		default:
			return defectAt(ErrName, name, i, "character not allowed:")
		}
		if !allowed {
			return defectAt(ErrName, name, i, "misplaced separator")
		}
		double = c == '_' && prev == '_'
		prev = c
	}
	if !isLowerAlnum(prev) {
		return defect(ErrName, name, "it ends with a separator")
	}
	return nil
}

func isLowerAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
}
