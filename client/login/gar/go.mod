module github.com/registrykit/registry/client/login/gar

go 1.26.0

replace github.com/registrykit/registry => ../../..

require (
	github.com/opencontainers/go-digest v1.0.0
	github.com/registrykit/registry v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.12.1
	golang.org/x/oauth2 v0.38.0
)

require (
	cloud.google.com/go/compute/metadata v0.9.0 // indirect
	github.com/distribution/reference v0.6.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sync v0.20.0 // indirect
	golang.org/x/sys v0.42.0 // indirect
)
