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

// errQuery is a query string that makes no sense.
var errQuery = &Error{code: "UNSUPPORTED", status: http.StatusBadRequest, message: "invalid query string"}

// oneParam returns the value of the parameter key, "" if it is absent. A value that contradicts
// another is an error of the kind.
func oneParam(q url.Values, key string, kind *Error) (string, error) {
	switch values := q[key]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", kind.WithMessage("the parameter " + key + " is given more than once")
}

// digestParam returns the digest in the parameter key, which must be there.
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

// digestsParam returns the digests in the parameter digest, of which there must be one: that by
// which the blob will be known, and those that its content must have besides, of other algorithms.
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

// algorithmParam returns the algorithm in the parameter digest-algorithm, "" if it is absent.
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

// countParam returns the parameter n: how many elements of a list are wanted, at most limit, which
// is also what is wanted if n is absent or has no value.
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

// lastParam returns the parameter last, behind which a page begins: "" or something that check
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

// parseDigits returns the number that s, decimal digits and nothing else, stands for, or
// math.MaxInt64 if it is greater.
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
