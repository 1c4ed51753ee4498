package parts

// Hook calls before with an "as" function. That function copies request, a request of an SDK, to a
// pointer of the same type. If before is nil, Hook does nothing.
func Hook[T any](before func(as func(any) bool) error, request T) error {
	if before == nil {
		return nil
	}
	return before(func(i any) bool {
		p, ok := i.(*T)
		if ok {
			*p = request
		}
		return ok
	})
}
