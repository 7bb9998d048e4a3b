# abide: "make help" lists what people need. Go, git and make are all it takes;
# test-race alone needs a C compiler.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# A go.work file would leak the sandbox's replaces into the engine's builds.
export GOWORK := off
export CGO_ENABLED ?= 0
# For tests and linters as for builds: with it for builds alone, all of Kubernetes
# would be compiled twice.
export GOFLAGS := $(filter-out -trimpath,$(GOFLAGS)) -trimpath

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --verify -q HEAD 2>/dev/null)

GO_BUILD := go build
PKG      := abide.dev/abide/internal/version
LDFLAGS  := -s -w -X $(PKG).Version=$(VERSION) -X $(PKG).Commit=$(COMMIT)

# The Kubernetes that the sandbox is made of; its /version needs the numbers.
K8S_VERSION := $(shell sed -n 's|^\tk8s.io/kubernetes \(v[0-9.]*\).*|\1|p' sandbox/go.mod 2>/dev/null)
K8S_PARTS    = $(subst ., ,$(patsubst v%,%,$(K8S_VERSION)))
K8S_PKG     := k8s.io/component-base/version
SANDBOX_LDFLAGS = -s -w -X $(K8S_PKG).gitVersion=$(K8S_VERSION) \
	-X $(K8S_PKG).gitMajor=$(word 1,$(K8S_PARTS)) -X $(K8S_PKG).gitMinor=$(word 2,$(K8S_PARTS))
SANDBOX_SOURCES := $(shell find sandbox -type f ! -name '*_test.go' ! -name '*.md' 2>/dev/null)

# Where generated files are written: the tree, or a copy to compare it with.
GEN_ROOT ?= .

# The packages that the race detector runs on. Long tests leave themselves out.
RACE_PACKAGES ?= ./internal/... ./cmd/...
# Tests skip what needs a sandbox where there is none and CI is not set.
NO_SANDBOX    := CI= ABIDE_SANDBOX=/nonexistent
TEST_FLAGS    ?=
TEST_TIMEOUT  ?= 35m

say = @printf '\033[1m==>\033[0m %s\n' $(1)

##@ Use

.PHONY: help
help: ## List what make can do.
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: bin/abide bin/abide-sandbox ## Build bin/abide and bin/abide-sandbox.

.PHONY: demo
demo: build ## Build, then show the sample repository converge in a sandbox.
	$(call say,'starting a throw-away Kubernetes and the sample repository (Ctrl-C ends both)')
	@bin/abide up

.PHONY: image
image: bin/abide ## Write bin/abide-image.tar, an OCI image, without Docker.
	$(call say,'packing abide with git and CA certificates of this machine')
	@go run ./hack/image -binary bin/abide -tag 'abide:$(subst +,-,$(VERSION))' -out bin/abide-image.tar

.PHONY: clean
clean: ## Remove what was built.
	rm -rf bin

##@ Test

.PHONY: test
test: build bin/kustomize bin/helm bin/jsonnet ## Run every test, those against a real Kubernetes included.
	$(call say,'testing the engine (the first run compiles the tests: some minutes on a cold machine)')
	@go test -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) ./...
	$(call say,'testing the sandbox')
	@cd sandbox && go test -p 1 -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) -ldflags '$(SANDBOX_LDFLAGS)' ./...

.PHONY: test-unit
test-unit: ## Run the tests that need no cluster: seconds once compiled.
	@$(NO_SANDBOX) go test -short -timeout 5m $(TEST_FLAGS) ./...

.PHONY: test-race
test-race: build bin/kustomize bin/helm bin/jsonnet ## Run all but the longest tests under the race detector (needs a C compiler).
	$(call say,'testing under the race detector (compiles everything anew: up to 8 minutes on a cold machine)')
	@CGO_ENABLED=1 go test -race -short -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) $(RACE_PACKAGES)

# BENCH_FLAGS=-long adds the long run; go run ./hack/bench -help lists the others.
BENCH_FLAGS ?=

.PHONY: bench
bench: build ## Measure costs and yardsticks, and write docs/benchmarks.md (15 minutes).
	@go run ./hack/bench -out docs/benchmarks.md $(BENCH_FLAGS)

.PHONY: bench-quick
bench-quick: build ## Measure smaller numbers of the same (under three minutes).
	@go run ./hack/bench -quick $(BENCH_FLAGS)

# BENCH_COUNT=10 for numbers to compare; BENCH=Decode for some of them.
BENCH       ?= .
BENCH_COUNT ?= 1
BENCH_GO    := ./internal/claims ./internal/object ./internal/observe ./internal/plan \
	./internal/render/... ./internal/source/...

.PHONY: bench-go
bench-go: ## Run the Go benchmarks of the hot functions, with allocations (a minute or two).
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(BENCH_COUNT) $(BENCH_GO)

##@ Change

.PHONY: lint
lint: bin/staticcheck bin/apilint ## Check format, go vet, staticcheck, API conventions and the rules of the house.
	$(call say,'gofmt')
	@bad=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	  if [ -n "$$bad" ]; then echo "not formatted, run gofmt -w on:"; echo "$$bad"; exit 1; fi
	$(call say,'go vet')
	@go vet ./...
	$(call say,'staticcheck')
	@bin/staticcheck ./...
	@cd sandbox && go vet ./...
	$(call say,'the conventions of Kubernetes APIs')
	@bin/apilint ./api/...
	$(call say,'the architecture test')
	@go test ./internal/arch

.PHONY: generate
generate: bin/controller-gen ## Write the generated files: deep copies, CRDs, reference pages.
	$(call say,'generating from api/v1alpha1')
	@mkdir -p $(GEN_ROOT)/api/v1alpha1 $(GEN_ROOT)/internal/install/crds $(GEN_ROOT)/docs/reference
	@bin/controller-gen paths=./api/... \
	  object output:object:dir=$(GEN_ROOT)/api/v1alpha1 \
	  crd output:crd:dir=$(GEN_ROOT)/internal/install/crds
	@go run ./hack/apidocs -crds $(GEN_ROOT)/internal/install/crds -out $(GEN_ROOT)/docs/reference
	@go run ./hack/clidocs -out $(GEN_ROOT)/docs/reference

.PHONY: verify-generated
verify-generated: ## Check that the generated files are what generate writes.
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	  $(MAKE) generate GEN_ROOT="$$tmp"; \
	  for f in $$(cd "$$tmp" && find . -type f); do \
	    diff -u "$$f" "$$tmp/$$f" || { echo "$$f is stale: run make generate and commit the result"; exit 1; }; \
	  done; \
	  for f in internal/install/crds/*; do \
	    [ -e "$$tmp/$$f" ] || { echo "$$f is not generated any more: remove it"; exit 1; }; \
	  done

.PHONY: deps-cost
deps-cost: bin/abide ## Write docs/dependencies.md: what each module takes in the program.
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	  GOOS=linux GOARCH=amd64 $(GO_BUILD) -o "$$tmp/abide" ./cmd/abide; \
	  go run ./hack/depcost -program "$$tmp/abide" -stripped bin/abide -out docs/dependencies.md

# Files

.PHONY: bin/abide
bin/abide:
	$(call say,'building bin/abide (2 to 4 minutes on a cold machine, seconds later)')
	@$(GO_BUILD) -ldflags '$(LDFLAGS)' -o $@ ./cmd/abide

# It waits for bin/abide, so that two large builds never run side by side.
bin/abide-sandbox: $(SANDBOX_SOURCES) | bin/abide
	$(call say,'building bin/abide-sandbox: a whole Kubernetes $(K8S_VERSION) (10 to 15 minutes on two cold cores, once)')
	@cd sandbox && $(GO_BUILD) -ldflags '$(SANDBOX_LDFLAGS)' -o ../$@ ./cmd/abide-sandbox
	@touch $@

bin/kustomize: hack/tools/go.mod hack/tools/go.sum
	$(call say,'building bin/kustomize: the yardstick of the render tests (a minute on a cold machine)')
	@cd hack/tools && $(GO_BUILD) -ldflags '-s -w' -o ../../$@ sigs.k8s.io/kustomize/kustomize/v5

# A release of Helm is built with its version; without, it names the series only.
HELM_VERSION := $(shell sed -n 's|.*helm.sh/helm/v4 \(v[0-9.]*\).*|\1|p' hack/tools/go.mod 2>/dev/null)

bin/helm: hack/tools/go.mod hack/tools/go.sum
	$(call say,'building bin/helm: the yardstick of the tests of charts (4 minutes on a cold machine)')
	@cd hack/tools && $(GO_BUILD) -ldflags '-s -w -X helm.sh/helm/v4/internal/version.version=$(HELM_VERSION)' \
	  -o ../../$@ helm.sh/helm/v4/cmd/helm

bin/jsonnet: hack/tools/go.mod hack/tools/go.sum
	$(call say,'building bin/jsonnet: the yardstick of the tests of Jsonnet')
	@cd hack/tools && $(GO_BUILD) -ldflags '-s -w' -o ../../$@ github.com/google/go-jsonnet/cmd/jsonnet

bin/controller-gen: hack/gen/go.mod hack/gen/go.sum
	$(call say,'building bin/controller-gen (half a minute on a cold machine)')
	@cd hack/gen && $(GO_BUILD) -o ../../$@ sigs.k8s.io/controller-tools/cmd/controller-gen

bin/staticcheck: hack/lint/go.mod hack/lint/go.sum
	$(call say,'building bin/staticcheck (half a minute on a cold machine)')
	@cd hack/lint && $(GO_BUILD) -o ../../$@ honnef.co/go/tools/cmd/staticcheck

bin/apilint: hack/lint/go.mod hack/lint/go.sum hack/lint/apilint/main.go
	$(call say,'building bin/apilint (half a minute on a cold machine)')
	@cd hack/lint && $(GO_BUILD) -o ../../$@ ./apilint
