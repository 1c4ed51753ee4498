package registry

import "net/http"

// answer is the http.ResponseWriter of all responses. It ends a response that its client does not
// read, by a write deadline: over HTTP/1.1 of the connection, over HTTP/2 of the stream. net/http
// sends the last bytes after the handler has returned, and only then removes the deadline.
type answer struct {
	http.ResponseWriter
	pace pace
}

// Unwrap lets http.ResponseController find the methods of the inner ResponseWriter.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements [http.ResponseWriter]. It sets the deadline, because net/http may send all
// of a small response after the handler has returned.
func (a *answer) WriteHeader(status int) {
	a.pace.begin()
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	a.pace.add(int64(len(p)))
	a.pace.begin()
	n, err := a.ResponseWriter.Write(p)
	a.pace.end()
	return n, err
}
