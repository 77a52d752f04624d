# Sigpost. `make help` lists what can be done.

GO ?= go
BIN ?= sigpost
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help build test race check lint fmt docs web web-check bench fuzz soak clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the binary ./sigpost
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN) ./cmd/sigpost

test: ## run all tests; sets up what they need
	@./.ci/setup
	$(GO) test ./...

race: ## run the tests under the race detector
	$(GO) test -race ./...

check: fmt lint test ## everything that must hold before a commit; CI runs the same

fmt: ## fail when gofmt would change something
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi

lint: ## run go vet, and staticcheck at its pinned version
	$(GO) vet ./...
	cd test/clients/gosdk && $(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK) ./...

STATICCHECK = v0.8.2

docs: ## write the generated documents again
	$(GO) test ./internal/provider -run Documentation -update
	$(GO) test ./internal/api -run Document -update

web: ## build the dashboard (web/dist) again; needs Node
	@./.ci/web

web-check: ## fail when the dashboard that is committed is not what its sources make
	@./.ci/web check

bench: ## measure against the baselines; takes about an hour
	$(GO) run ./bench

fuzz: ## fuzz every parser for a while (FUZZTIME=30s each)
	@./.ci/fuzz $(or $(FUZZTIME),30s)

soak: ## crash, power and key tests for 2,000 rounds, 100,000 simulated worlds; takes a night
	CRASH_ROUNDS=2000 $(GO) test ./test -run 'Crash|Linearizable' -count 1 -timeout 12h -v
	$(GO) test ./internal/dispatch -run Simulated -simulations 100000 -count 1 -timeout 12h -v

clean: ## remove what was built
	rm -f $(BIN)
	rm -rf .bench-*
