package registry

import "net/http"

// answer is the http.ResponseWriter of all responses. It ends a response to a client that does not read it, over HTTP/1.1 by a deadline
// of the connection, and over HTTP/2 of the stream. The last bytes are sent after the handler has returned; net/http removes the
// deadline after that.
type answer struct {
	http.ResponseWriter
	pace pace
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader sends the header. The client's time begins here, also for what is sent after the handler has returned.
func (a *answer) WriteHeader(status int) {
	a.pace.begin()
	a.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (a *answer) Write(p []byte) (int, error) {
	a.pace.add(int64(len(p)))
	a.pace.begin()
	n, err := a.ResponseWriter.Write(p)
	a.pace.end()
	return n, err
}
