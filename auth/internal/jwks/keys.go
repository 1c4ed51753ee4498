package jwks

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/registrykit/registry/internal/strictjson"
)

const (
	// maxKeys is the maximum number of keys of a set. A token without a kid is tried with each of them.
	maxKeys = 100
	// minRSA and maxRSA are the permitted sizes of RSA keys, in bits. Longer ones make each token expensive.
	minRSA, maxRSA = 2048, 8192
)

// Thumbprint identifies a key: the SHA-256 of its public part (RFC 7638).
type Thumbprint [32]byte

// key is a public key that tokens may be signed with.
type key struct {
	kid    string // "" if the source gives none: the key is tried with each token
	alg    string // the only algorithm, "" if the source gives none
	public crypto.PublicKey
	id     Thumbprint
}

// keys are the keys that were read at one time.
type keys struct {
	list []key
	ids  map[Thumbprint]bool
}

func newKeys(list []key) *keys {
	k := &keys{list: list, ids: make(map[Thumbprint]bool, len(list))}
	for _, one := range list {
		k.ids[one.id] = true
	}
	return k
}

var (
	errPrivate = errors.New("it is a private key, which an issuer must not publish")
	// errOther is returned for a key that is not for signatures, or of an unknown type.
	errOther = errors.New("it is no key for signatures")
)

// parseSet parses a JWKS from a URL. Keys that cannot be used are left out, as RFC 7517 says, so that a provider
// can add a new type. A set may be empty: the issuer has withdrawn its keys.
func parseSet(content []byte) (*keys, error) {
	members, err := setMembers(content)
	if err != nil {
		return nil, err
	}
	var list []key
	for _, member := range members {
		if k, err := parseKey(member); err == nil {
			list = append(list, k)
		}
	}
	return newKeys(list), nil
}

// setMembers returns the keys of a JWKS, each as JSON.
func setMembers(content []byte) ([][]byte, error) {
	r, err := strictjson.NewReader(content)
	if err != nil {
		return nil, err
	}
	var members [][]byte
	found := false
	ok, err := r.Object([]string{"keys"}, func(string) error {
		found = !r.Null()
		if !found {
			return nil
		}
		return r.Array(func() error {
			if len(members) == maxKeys {
				return fmt.Errorf("more than %d keys", maxKeys)
			}
			members = append(members, r.Skip())
			return nil
		})
	})
	if err == nil && (!ok || !found) {
		err = errors.New("it is no set of keys: the field keys is missing")
	}
	return members, err
}

// parseKey parses a JWK.
func parseKey(content []byte) (key, error) {
	ops, err := keyOperations(content)
	if err != nil {
		return key{}, err
	}
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(content); err != nil {
		return key{}, err
	}
	switch {
	case k.Use != "" && k.Use != "sig", len(ops) > 0 && !slices.Contains(ops, "verify"):
		return key{}, errOther
	}
	return newKey(k.Key, k.KeyID, k.Algorithm)
}

// keyOperations returns the field key_ops of a JWK.
func keyOperations(content []byte) (ops []string, err error) {
	r, err := strictjson.NewReader(content)
	if err != nil {
		return nil, err
	}
	_, err = r.Object([]string{"key_ops", "kty", "kid", "use", "alg"}, func(name string) error {
		if name != "key_ops" {
			r.Skip()
			return nil
		}
		return r.Array(func() error {
			op, err := r.Element()
			ops = append(ops, op)
			return err
		})
	})
	return ops, err
}

// newKey returns a key for signatures.
//
// Errors: errPrivate, errOther, or a text that says why the key is too weak.
func newKey(public any, kid, alg string) (key, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
			return key{}, fmt.Errorf("an RSA key of %d bits: it must have %d to %d", bits, minRSA, maxRSA)
		}
		if k.E < 3 || k.E%2 == 0 || k.N.Bit(0) == 0 {
			return key{}, errors.New("an RSA key that is no product of primes")
		}
	case *ecdsa.PublicKey:
		if _, err := k.ECDH(); err != nil { // not on its curve, or a curve that JWTs do not have
			return key{}, fmt.Errorf("an ECDSA key: %w", err)
		}
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return key{}, errors.New("an Ed25519 key of the wrong size")
		}
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		return key{}, errPrivate
	default:
		return key{}, errOther
	}
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return key{}, err
	}
	return key{kid: kid, alg: alg, public: public, id: Thumbprint(sum)}, nil
}

// readFiles returns the keys in files.
func readFiles(paths []string) (*keys, error) {
	if len(paths) == 0 {
		return nil, errors.New("jwks: no files of keys")
	}
	var all []key
	for _, path := range paths {
		content, err := readFile(path)
		if err != nil {
			return nil, err
		}
		list, err := parseFile(content)
		if err == nil && len(list) == 0 {
			err = errors.New("it has no key for signatures")
		}
		if err != nil {
			return nil, fmt.Errorf("jwks: %s: %w", path, err)
		}
		if all = append(all, list...); len(all) > maxKeys {
			return nil, fmt.Errorf("jwks: %s: more than %d keys", path, maxKeys)
		}
	}
	return newKeys(all), nil
}

// readFile returns the content of a regular file.
func readFile(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("jwks: %s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	if len(content) > maxDocument {
		return nil, fmt.Errorf("jwks: %s: more than %d bytes", path, maxDocument)
	}
	return content, nil
}

// parseFile parses a JWKS or PEM. Unlike parseSet it is strict, so that the operator of a file learns that a
// key is not used.
func parseFile(content []byte) ([]key, error) {
	if bytes.HasPrefix(bytes.TrimSpace(content), []byte("{")) {
		members, err := setMembers(content)
		if err != nil {
			return nil, err
		}
		var list []key
		for i, member := range members {
			k, err := parseKey(member)
			switch {
			case err == nil:
				list = append(list, k)
			case !errors.Is(err, errOther) && !errors.Is(err, jose.ErrUnsupportedKeyType):
				return nil, fmt.Errorf("key %d: %w", i+1, err)
			}
		}
		return list, nil
	}
	var list []key
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			return list, nil
		}
		k, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", len(list)+1, err)
		}
		list = append(list, k)
	}
}

// parseBlock parses a block of PEM. The key has no kid: issuers make the kid of a certificate in several ways.
func parseBlock(block *pem.Block) (key, error) {
	var public any
	var err error
	switch block.Type {
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = cert.PublicKey
		}
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY":
		err = errPrivate
	default:
		err = fmt.Errorf("%w but %q", errOther, block.Type)
	}
	if err != nil {
		return key{}, err
	}
	return newKey(public, "", "")
}
