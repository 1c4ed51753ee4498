# Every target runs what CI runs. The tools are pinned in internal/e2e (go.mod and harness/programs.txt) and installed into
# the cache folder: $REGISTRY_CACHE, by default ~/.cache/registrykit.
cache := $(or $(REGISTRY_CACHE),$(HOME)/.cache/registrykit)
e2e := cd internal/e2e && go test -p 1 -count=1 -timeout 15m

.DEFAULT_GOAL := check
.PHONY: help check test lint vuln api systems fuzz tools peer conformance e2e e2e-full crash soak bench model model-full \
	compare bench-change memory memory-s3 cloud requests collect-cost brokers logins events mirror housekeeping identity \
	hub page housekeeping-cost

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' Makefile
check: ## everything that CI checks, installing what it needs; about 50 minutes on two cores
	.ci/run
test: ## the tests of the library, which need only Go
	go test ./...
lint: tools ## gofmt, go vet, staticcheck and golangci-lint
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted: $$files"; exit 1; }
	go vet ./...
	$(cache)/bin/staticcheck ./...
	$(cache)/bin/golangci-lint run ./...
vuln: tools ## known vulnerabilities in what the library calls
	.ci/vuln
api: tools ## incompatible changes of the API since the last tag or the last landed commit; BASE=COMMIT compares with that
	.ci/api $(BASE)
systems: ## go vet of all packages for darwin and windows, which CI does without those that import the SDK of a cloud
	CGO_ENABLED=0 GOOS=darwin go vet ./...
	CGO_ENABLED=0 GOOS=windows go vet ./...
fuzz: ## every fuzz target, 10 seconds each; FUZZTIME=1m for longer
	internal/e2e/fuzz.sh $(or $(FUZZTIME),10s)
tools: ## installs the programs that the other targets run
	internal/e2e/install.sh
peer: ## installs the registry that compare and requests measure against
	internal/e2e/install.sh peer
conformance: tools ## the conformance suites of the distribution spec
	$(e2e) -v ./conformance
e2e: tools ## clients such as docker, podman, crane and oras push and pull, also with logins
	$(e2e) -parallel 16 ./clients ./access
e2e-full: ## every client, also those that take long to build; prints the client table of the docs
	internal/e2e/install.sh full
	cd internal/e2e && REGISTRY_E2E_PROGRAMS=full go run ./full/table -o $(or $(TABLE),/dev/stdout)
crash: tools ## kill -9 in the middle of pushes: what was acknowledged is there
	$(e2e) -v ./crash
# SOAK='-grace 20s' runs with a grace period, in which no push may be refused. SOAK=-untagged also collects untagged
# manifests.
soak: tools ## two servers collect every few seconds and are killed now and then: nothing is lost, stuck or left over
	cd internal/e2e && go run ./soak -ops 100000 -storage tmpfs $(SOAK)
	cd internal/e2e && go run ./soak -ops 10000 -storage disk $(SOAK)
	cd internal/e2e && go run ./soak -ops 10000 -storage s3 $(SOAK)
brokers: tools ## the sinks for message brokers, which are modules of their own, with real servers
	for m in $(dir $(wildcard notification/*/go.mod)); do (cd $$m && go vet ./... && go test -race ./...) || exit 1; done
logins: ## the sources of credentials for clouds, which are modules of their own
	for m in $(dir $(wildcard client/login/*/go.mod)); do (cd $$m && go vet ./... && go test -race ./...) || exit 1; done
events: tools ## servers are killed and receivers of events fail during 10,000 pushes: every event arrives
	cd internal/e2e && go test -race -count=1 -timeout 60m -v ./events -full
	internal/e2e/fuzz.sh $(or $(FUZZTIME),1m) ./notification/...
# Of the installed programs, the tests use those of CI, distribution and buildkit.
mirror: peer ## clients pull through a mirror, upstreams fail, mirrors are killed; about 25 minutes
	internal/e2e/install.sh full
	cd internal/e2e && REGISTRY_E2E_PROGRAMS='full peer' go test -count=1 -timeout 60m -v ./mirror -full
	internal/e2e/fuzz.sh $(or $(FUZZTIME),1m) ./mirror/...
housekeeping: peer ## imports of what old registries wrote, retention, quotas and scrubs with real clients; about 30 minutes
	cd internal/e2e && REGISTRY_E2E_PROGRAMS=peer go test -count=1 -timeout 60m -v ./maintenance -full
	cd internal/e2e && go run ./soak -ops 30000 -storage tmpfs -keep $(SOAK)
	cd internal/e2e && go run ./soak -ops 10000 -storage s3 -keep $(SOAK)
identity: ## accounts, OIDC, tokens of others, with real clients over two replicas; fuzz targets a minute each; about 40 minutes
	internal/e2e/install.sh full
	cd internal/e2e && REGISTRY_E2E_PROGRAMS=full go test -count=1 -timeout 60m -v ./identity -full
	internal/e2e/fuzz.sh $(or $(FUZZTIME),1m) ./auth/...
hub: ## the hub: the walk on disk and MinIO, the image, the API fuzzed for 10 minutes, sign-in; about 30 minutes
	internal/e2e/install.sh full
	cd internal/e2e && REGISTRY_E2E_PROGRAMS=full go test -count=1 -timeout 60m -v ./hub ./signin -full
page: ## the page in a browser: every view with all data, the walk with docker, the validator, screenshots; about 15 minutes
	internal/e2e/install.sh full
	cd internal/e2e && REGISTRY_E2E_PROGRAMS=full go test -count=1 -timeout 60m -v ./page -full -shots $(or $(SHOTS),/tmp/page)
bench: ## the benchmarks
	go test -run '^$$' -bench . -benchmem ./...
model: tools ## the models of the protocols, see internal/model/README.md
	internal/model/run.sh
model-full: tools ## the same with more actors at once
	internal/model/run.sh full
# COMPARE=-check fails when a goal is missed. PLACE=disk or PLACE=s3 stores elsewhere, see docs/performance.md.
compare: peer ## measures every operation beside other registries and the limit of the machine; about 10 minutes
	cd internal/e2e && REGISTRY_E2E_PROGRAMS=peer go run ./compare -places $(or $(PLACE),tmpfs) \
		$(if $(filter s3,$(PLACE)),-peer distribution,-peer distribution -peer crane) $(COMPARE)
bench-change: peer ## benchstat of the benchmarks before and after a change; BASE=COMMIT, BENCH=REGEXP, PACKAGES='. ./storage'
	BENCH='$(BENCH)' internal/e2e/bench-change.sh '$(BASE)' $(PACKAGES)
memory: ## measures the memory of many concurrent pushes and pulls
	cd internal/e2e && go run ./memory
memory-s3: tools ## the same with S3 as the storage
	cd internal/e2e && go run ./memory -s3
cloud: tools ## the kits on MinIO, fake-gcs-server and Azurite; redirects; a store that fails
	$(e2e) -v ./cloud ./redirect ./unwell
requests: peer ## what each operation costs on S3: requests, and time at 30 ms for each, beside another registry
	cd internal/e2e && REGISTRY_E2E_PROGRAMS=peer go run ./requests
collect-cost: tools ## what a collection costs: a million blobs in memory, 100,000 on disk, 10,000 on MinIO
	cd internal/e2e && go run ./collectcost -storage mem -blobs 1000000
	cd internal/e2e && go run ./collectcost -storage disk -blobs 100000
	cd internal/e2e && go run ./collectcost -storage s3 -blobs 10000
housekeeping-cost: tools ## the same for retention, usage and scrubs
	cd internal/e2e && go run ./collectcost -storage mem -blobs 1000000 -keep
	cd internal/e2e && go run ./collectcost -storage disk -blobs 100000 -keep
	cd internal/e2e && go run ./collectcost -storage s3 -blobs 10000 -keep
