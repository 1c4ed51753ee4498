package reference

// MaxTagLength is the maximum length of a tag, in bytes.
const MaxTagLength = 128

// CheckTag returns an error unless tag is a tag:
//
//	[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}
//
// Tags that differ in upper and lower case are different tags. The error wraps [ErrTag].
func CheckTag(tag string) error {
	switch {
	case tag == "":
		return defect(ErrTag, tag, "it is empty")
	case len(tag) > MaxTagLength:
		return defect(ErrTag, tag, "it is longer than 128 bytes")
	}
	for i := 0; i < len(tag); i++ {
		switch c := tag[i]; {
		case isLowerAlnum(c), 'A' <= c && c <= 'Z', c == '_':
		case c == '.', c == '-':
			if i == 0 {
				return defectAt(ErrTag, tag, i, "it begins with")
			}
		default:
			return defectAt(ErrTag, tag, i, "character not allowed:")
		}
	}
	return nil
}
