package accounts

import "github.com/registrykit/registry/auth/internal/secretvalue"

// NewSecretValue returns a secret as CreateSecret would make it, which is not stored.
func NewSecretValue(k Kind, owner ID, id string) string { return newSecretValue(k, owner, id) }

// Limits for the tests.
const (
	MaxUserSecrets  = maxUserSecrets
	MaxRobotSecrets = maxRobotSecrets
	MaxUsesStored   = maxUsesStored
	FlushEvery      = flushEvery
)

// HashSecret returns Secret.Hash of a secret.
var HashSecret = secretvalue.Hash
