package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

// ID returns a name of the storage that all Stores on it share, and that no other storage has: 32
// hexadecimal digits. It is not secret. A plan of package retention states the ID of its storage, so that
// it is not applied to another one. The first call on a storage writes an object. A copy of all objects to
// another place has the same ID.
//
// Errors: any error of the driver.
func (s *Store) ID(ctx context.Context) (string, error) {
	secret, err := s.SharedSecret(ctx, "storage-id")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:16]), nil
}
