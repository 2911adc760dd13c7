# Canopy: who runs the peer-to-peer networks we all rely on?
GO      ?= go
NPM     ?= npm
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LINT     = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FLAGS    = -ldflags '-X main.version=$(VERSION)'
# The time-out is for what hangs, not for what is slow: on a busy machine one package may take many times as long as
# alone. `make lint` vets.
TEST     = $(GO) test -timeout 40m -vet=off -ldflags=-w

.DEFAULT_GOAL := help
.PHONY: help build engine data axe typeface clients kubo demo figures test soak race lint fuzz validate bench clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

build: ## bin/canopy
	$(GO) build $(FLAGS) -o bin/canopy ./cmd/canopy

engine: .engine/node_modules/.package-lock.json ## install the embedded ClickHouse engine (npm, 560 MB)

.engine/node_modules/.package-lock.json: .engine/package-lock.json
	$(NPM) ci --prefix .engine --no-audit --no-fund

data: .data/node_modules/.package-lock.json ## install the address-to-AS table (npm, CC BY 4.0)

.data/node_modules/.package-lock.json: .data/package-lock.json
	$(NPM) ci --prefix .data --no-audit --no-fund

axe: reports/testdata/axe/node_modules/.package-lock.json ## install axe-core (npm, MPL 2.0), which a test of the report asks about accessibility

reports/testdata/axe/node_modules/.package-lock.json: reports/testdata/axe/package-lock.json
	$(NPM) ci --prefix reports/testdata/axe --no-audit --no-fund

LIBERATION = $$($(GO) list -m -f '{{.Dir}}' codeberg.org/go-fonts/liberation)
typeface: ## cut the typeface of reports anew out of Liberation Sans (needs fontTools and Brotli)
	python3 reports/typeface/subset.py $(LIBERATION)/liberationsansregular/LiberationSans-Regular.ttf $(LIBERATION)/liberationsansbold/LiberationSans-Bold.ttf

CLIENTS = crawler/mainline/testdata/clients crawler/ipfs/testdata/clients
clients: $(CLIENTS:=/node_modules/.package-lock.json) ## install the foreign DHT clients that tests crawl, as far as npm has them

%/testdata/clients/node_modules/.package-lock.json: %/testdata/clients/package-lock.json
	$(NPM) ci --prefix $*/testdata/clients --no-audit --no-fund

# Kubo is not among the clients above: its build takes minutes.
KUBO = crawler/ipfs/testdata/clients/kubo
export CANOPY_IPFS_BIN ?= $(wildcard $(CURDIR)/.kubo/ipfs)
kubo: ## build Kubo, which TestForeignNodes then adds to its swarm
	cd $(KUBO) && $(GO) build -trimpath -o $(CURDIR)/.kubo/ipfs github.com/ipfs/kubo/cmd/ipfs

demo: build engine ## two local networks, crawls, churn and a report: under 2 minutes
	bin/canopy demo

DATASET ?= dataset
figures: build engine ## every figure of the report from DATASET=DIR alone, into DIR-figures
	bin/canopy figures $(DATASET) --out $(patsubst %/,%,$(DATASET))-figures

# Much of it is waiting, so that three packages share two cores, the longest first.
test: engine ## every test
	$(TEST) -p 3 ./cmd/canopy ./crawler/ipfs ./crawler/mainline ./reports ./crawler/store ./...

soak: engine ## what needs long: a hundred kills, outages at full speed
	CANOPY_SOAK=1 $(GO) test -timeout 60m -v -run 'TestKilled|TestSoak' ./crawler/store

race: engine ## the packages that share memory, under the race detector
	$(TEST) -p 2 -race -short ./crawler ./crawler/mainline/... ./crawler/ipfs/... ./crawler/nebula ./crawler/store/... ./crawler/address/... ./crawler/monitor ./crawler/testnet/...

lint: ## formatting, vet, golangci-lint, and what tests may not lean on (cmd/lint)
	@test -z "$$(gofmt -l cmd crawler analysis reports)" || { gofmt -l cmd crawler analysis reports; echo 'run gofmt -w on these'; exit 1; }
	$(GO) vet ./...
	$(GO) run $(LINT) run ./...
	$(GO) run ./cmd/lint ./...

FUZZTIME ?= 30s
fuzz: ## every fuzz target for FUZZTIME each
	@set -e; for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	  echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; done; done

RUNS ?= 100
validate: engine ## estimates against planned truth over at least RUNS seeded runs, as a table
	@out=$$(CANOPY_VALIDATE=$(RUNS) $(GO) test -count 1 -timeout 30m -v -run '^TestValidate' ./analysis/... 2>&1); failed=$$?; \
	  echo '| quantity | true value | mean estimate | mean 95 % interval | runs | covered | coverage |'; echo '| --- | --- | --- | --- | --- | --- | --- |'; \
	  echo "$$out" | grep '^|'; [ $$failed = 0 ] || { echo "$$out" | grep -v '^|' | grep -E 'FAIL|_test.go|cannot|undefined'; exit 1; }

bench: engine ## performance figures, as ratios against a named peer in the same run
	@$(GO) test -run '^$$' -bench . -benchmem -timeout 60m ./... | awk "$$TABLE"

# One line for each figure: what was run, the value, its unit.
define TABLE
/^pkg:/ { package = $$2 }
/^Benchmark/ {
  if (package != "") print "\n" package
  package = ""; name = $$1; sub(/^Benchmark/, "", name); sub(/-[0-9]+$$/, "", name)
  for (i = 3; i < NF; i += 2) { printf "  %-24s %14s  %s\n", name, $$i, $$(i + 1); name = "" }
}
/_test.go:[0-9]+: / { sub(/^.*_test.go:[0-9]+: /, "  : "); print; next }
/^ok|no test files/ { next }
/FAIL|panic:/ { print; failed = 1 }
END { exit failed }
endef
export TABLE

clean: ## what was built or made by the demo (the engine stays)
	rm -rf bin demo dist
