package config

// Key returns the key of a field.
func Key(field string) string { return key(field) }
