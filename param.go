package registry

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/reference"
)

// errQuery is returned when the query string is malformed.
var errQuery = &Error{code: "UNSUPPORTED", status: http.StatusBadRequest, message: "invalid query string"}

// oneParam returns the value of the parameter key, or "" if it is absent. If it occurs more than
// once, the error is of the kind.
func oneParam(q url.Values, key string, kind *Error) (string, error) {
	switch values := q[key]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", kind.WithMessage("the parameter " + key + " is given more than once")
}

// digestParam returns the digest in the required parameter key.
func digestParam(q url.Values, key string) (digest.Digest, error) {
	s, err := oneParam(q, key, ErrDigestInvalid)
	if err != nil {
		return "", err
	}
	if s == "" {
		return "", ErrDigestInvalid.WithMessage("the parameter " + key + " is missing")
	}
	if err := CheckDigest(digest.Digest(s)); err != nil {
		return "", err
	}
	return digest.Digest(s), nil
}

// digestsParam returns the digests in the required parameter digest: d, under which the blob will
// be known, and the digests of other algorithms that its content must also have.
func digestsParam(q url.Values) (d digest.Digest, also []digest.Digest, err error) {
	if len(q["digest"]) < 2 {
		d, err = digestParam(q, "digest")
		return d, nil, err
	}
	byAlgorithm := map[digest.Algorithm]digest.Digest{}
	for _, s := range q["digest"] {
		next := digest.Digest(s)
		if err := CheckDigest(next); err != nil {
			return "", nil, err
		}
		switch before := byAlgorithm[next.Algorithm()]; {
		case before == next:
			continue
		case before != "":
			return "", nil, ErrDigestInvalid.WithMessage("two digests of one algorithm contradict each other")
		case d == "":
			d = next
		default:
			also = append(also, next)
		}
		byAlgorithm[next.Algorithm()] = next
	}
	return d, also, nil
}

// algorithmParam returns the algorithm in the parameter digest-algorithm, or "" if it is absent.
func algorithmParam(q url.Values) (digest.Algorithm, error) {
	if !q.Has("digest-algorithm") {
		return "", nil
	}
	s, err := oneParam(q, "digest-algorithm", ErrDigestInvalid)
	if err != nil {
		return "", err
	}
	switch a := digest.Algorithm(s); a {
	case digest.SHA256, digest.SHA512:
		return a, nil
	}
	return "", ErrDigestInvalid.WithMessage("unsupported digest algorithm " + reference.Quote(s))
}

// countParam returns the parameter n, the number of elements that the client requests, reduced to
// limit. If n is absent or empty, it returns limit.
func countParam(q url.Values, limit int) (int, error) {
	s, err := oneParam(q, "n", ErrPageInvalid)
	if err != nil {
		return 0, err
	}
	if s == "" {
		return limit, nil
	}
	n, ok := parseDigits(s)
	if !ok {
		return 0, ErrPageInvalid
	}
	return int(min(n, int64(limit))), nil
}

// lastParam returns the parameter last, after which a page begins: "" or a value that check
// accepts.
func lastParam(q url.Values, kind *Error, check func(string) error) (string, error) {
	last, err := oneParam(q, "last", kind)
	if err != nil || last == "" {
		return "", err
	}
	if err := check(last); err != nil {
		return "", kind.WithMessage("the parameter last: " + err.Error())
	}
	return last, nil
}

// parseDigits returns the number in s, which must consist of decimal digits only. A number that
// does not fit becomes math.MaxInt64.
func parseDigits(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}
