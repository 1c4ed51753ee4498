package parts

// Hook calls before with an as function that gives a request of an SDK to a pointer of its type. It
// does nothing if before is nil.
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
