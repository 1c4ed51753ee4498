# Every target runs what CI runs. Tools are pinned in internal/e2e (go.mod and harness/programs.txt) and kept in a cache folder,
# $REGISTRY_CACHE or ~/.cache/registrykit.
.PHONY: check test fuzz conformance cloud e2e e2e-full crash soak bench model model-full compare requests memory memory-s3 collect-cost tools peer
e2e := cd internal/e2e && go test -p 1 -count=1 -timeout 15m

check:
	.ci/run
test:
	go test ./...
fuzz:
	internal/e2e/fuzz.sh $(or $(FUZZTIME),10s)
tools:
	internal/e2e/install.sh
peer:
	internal/e2e/install.sh peer
conformance: tools
	$(e2e) -v ./conformance
e2e: tools
	$(e2e) -parallel 16 ./clients ./access
# Every client, also those that take long to build; the table is that of the README.
e2e-full:
	internal/e2e/install.sh full
	cd internal/e2e && REGISTRY_E2E_PROGRAMS=full go run ./full/table -o $(or $(TABLE),/dev/stdout)
crash: tools
	$(e2e) -v ./crash
# Two servers that collect every few seconds and are killed now and then: nothing is lost, stuck or left. SOAK='-grace 20s' is the same with a
# grace, where nothing may be refused; SOAK=-untagged has untagged manifests collected, too.
soak: tools
	cd internal/e2e && go run ./soak -ops 100000 -storage tmpfs $(SOAK)
	cd internal/e2e && go run ./soak -ops 10000 -storage disk $(SOAK)
	cd internal/e2e && go run ./soak -ops 10000 -storage s3 $(SOAK)
bench:
	go test -run '^$$' -bench . -benchmem ./...
model: tools
	internal/model/run.sh
model-full: tools
	internal/model/run.sh full
# COMPARE=-check fails when a row is slower than the peer; COMPARE='-base PROGRAM' compares with an earlier build of examples/server.
compare: peer
	cd internal/e2e && REGISTRY_E2E_PROGRAMS=peer go run ./compare $(COMPARE)
memory:
	cd internal/e2e && go run ./memory
memory-s3: tools
	cd internal/e2e && go run ./memory -s3
# The kits on MinIO, fake-gcs-server and Azurite; redirects; a store that is unwell.
cloud: tools
	$(e2e) -v ./cloud ./redirect ./unwell
# What each operation costs on S3, in requests and with 30 ms added to each of them, beside the peer.
requests: peer
	cd internal/e2e && REGISTRY_E2E_PROGRAMS=peer go run ./requests
# What a collection costs: a million blobs in memory, 100,000 on disk, 10,000 on MinIO.
collect-cost: tools
	cd internal/e2e && go run ./collectcost -storage mem -blobs 1000000
	cd internal/e2e && go run ./collectcost -storage disk -blobs 100000
	cd internal/e2e && go run ./collectcost -storage s3 -blobs 10000
