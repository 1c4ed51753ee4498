// Package config reads the configuration of webhooks from URLs with parameters and from YAML files.
package config
