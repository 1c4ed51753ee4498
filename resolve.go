package registry

import "net/http"

// NameQuery is what Options.Resolve knows of a request.
type NameQuery struct {
	// Repository is the name in the path of the request. It is valid.
	Repository string
	// Namespace is the value of the parameter ns, or "" if there is none: a host and an optional
	// port, in lower case. A client of a mirror names the registry there that it wants to pull from
	// (distribution spec, section "Registry Proxying"). The handler refuses any other form with 400,
	// and sends the value back as OCI-Namespace.
	Namespace string
	// Write reports whether the request pushes or deletes.
	Write bool
	// Request is the request. Its body must not be read.
	Request *http.Request
}
