package api

import "time"

// instant returns a time in UTC, or the zero Time for a time without a JSON form. Fields that may be
// zero have the option omitzero.
func instant(t time.Time) time.Time {
	t = t.UTC()
	if t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// texts returns a list that is not nil.
func texts(list []string) []string { return append([]string{}, list...) }

// counts returns a map that is not nil.
func counts(m map[string]int64) map[string]int64 {
	if m == nil {
		return map[string]int64{}
	}
	return m
}

// words converts a list of words. The result is never nil.
func words[To, From ~string](list []From) []To {
	out := make([]To, len(list))
	for i, w := range list {
		out[i] = To(w)
	}
	return out
}

// set sets a field if the change has it.
func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
