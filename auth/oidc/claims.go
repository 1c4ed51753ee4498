package oidc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/registrykit/registry/auth/internal/fingerprint"
)

const (
	// reserved is the prefix of the names of claims that only packages of this module may set.
	reserved = fingerprint.Reserved
	// maxClaims and maxDepth bound the claims of a token. No known issuer comes near them.
	maxClaims = 1000
	maxDepth  = 8
)

// issuer returns the claim iss of a JWT whose signature is not verified yet. It is "" if the text
// is no JWT or has no such claim.
func issuer(token string) string {
	_, rest, _ := strings.Cut(token, ".")
	encoded, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	var members map[string]json.RawMessage // a struct would ignore the case of keys
	var iss string
	if json.Unmarshal(payload, &members) != nil || json.Unmarshal(members["iss"], &iss) != nil {
		return ""
	}
	return iss
}

// claims are the claims of a token.
type claims struct {
	// values are texts, booleans and lists of texts ([]string). A number is the text that the token
	// has. A field of an object has the path as its name: "kubernetes.io/namespace".
	values map[string]any
	// numbers are the top-level claims that are numbers, for the times.
	numbers map[string]json.Number
}

// parseClaims reads the payload of a token. It leaves out reserved claims, null, and lists with
// elements other than texts, numbers and booleans.
//
// It returns an error if the payload is no JSON object in UTF-8, if a name occurs twice, or if
// there are too many claims.
func parseClaims(payload []byte) (*claims, error) {
	if !utf8.Valid(payload) {
		return nil, errors.New("the claims are not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("the claims are no object")
	}
	c := &claims{values: make(map[string]any), numbers: make(map[string]json.Number)}
	if err := c.object(d, "", 0); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the claims")
	}
	return c, nil
}

// object reads the members of an object, and its end.
func (c *claims) object(d *json.Decoder, path string, depth int) error {
	if depth > maxDepth {
		return errors.New("the claims are nested too deep")
	}
	seen := make(map[string]struct{})
	for {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("the claims are malformed: %w", err)
		}
		key, ok := t.(string)
		if !ok {
			return nil // the end: the decoder returns no other token here
		}
		if _, twice := seen[key]; twice {
			return fmt.Errorf("the claim %.100q occurs twice", path+key)
		}
		seen[key] = struct{}{}
		if err := c.member(d, path+key, depth); err != nil {
			return err
		}
	}
}

// member reads the value of a claim.
func (c *claims) member(d *json.Decoder, name string, depth int) error {
	t, err := d.Token()
	if err != nil {
		return fmt.Errorf("the claims are malformed: %w", err)
	}
	switch t {
	case json.Delim('{'):
		return c.object(d, name+"/", depth+1)
	case json.Delim('['):
		return c.list(d, name, depth+1)
	}
	if n, ok := t.(json.Number); ok && depth == 0 {
		c.numbers[name] = n
	}
	switch v := t.(type) {
	case bool:
		return c.add(name, v)
	case nil:
		return nil
	default:
		text, _ := scalar(v)
		return c.add(name, text)
	}
}

// list reads the elements of a list, and its end.
func (c *claims) list(d *json.Decoder, name string, depth int) error {
	texts, plain := []string{}, true
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("the claims are malformed: %w", err)
		}
		if text, ok := scalar(t); ok {
			texts = append(texts, text)
			continue
		}
		plain = false
		if _, nested := t.(json.Delim); nested {
			if err := skip(d, depth+1); err != nil {
				return err
			}
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("the claims are malformed: %w", err)
	}
	if !plain {
		return nil
	}
	return c.add(name, texts)
}

// skip reads the rest of an object or list whose beginning was read.
func skip(d *json.Decoder, depth int) error {
	for open := 1; open > 0; {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("the claims are malformed: %w", err)
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			open++
		case json.Delim('}'), json.Delim(']'):
			open--
		}
		if depth+open > maxDepth+1 {
			return errors.New("the claims are nested too deep")
		}
	}
	return nil
}

// scalar returns a text, number or boolean as a text.
func scalar(t json.Token) (string, bool) {
	switch v := t.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// add adds a claim. Two claims have the same name if a name contains a slash and is also the path of a
// field.
func (c *claims) add(name string, value any) error {
	if strings.HasPrefix(name, reserved) {
		return nil
	}
	if _, twice := c.values[name]; twice {
		return fmt.Errorf("the claim %.100q occurs twice", name)
	}
	if len(c.values) >= maxClaims {
		return fmt.Errorf("more than %d claims", maxClaims)
	}
	c.values[name] = value
	return nil
}
