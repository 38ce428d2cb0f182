# make demo            the whole graph on a live stream, console at http://127.0.0.1:8080
# make demo ARGS="--for 20s"   …and ends by itself;  --input FILE.jsonl[.gz] takes your own posts
# make test            everything, as CI runs it
# Both fetch what they need once and do nothing twice.

.PHONY: setup console build dist demo test lint unit api browser docs docs-check rustdoc bench clean
.DEFAULT_GOAL := build

CARGO ?= cargo
ARGS ?=

setup:
	@scripts/setup.sh build

console:
	@scripts/console.sh build

build: setup console
	@$(CARGO) build --release -p groundswell

# The program as it is shipped: optimised across crates (docs/performance/README.md); takes many minutes to build.
dist: setup console
	@$(CARGO) build --profile dist -p groundswell

demo: build
	@exec target/release/groundswell demo $(ARGS)

test:
	@scripts/setup.sh test
	@scripts/console.sh test
	@$(MAKE) --no-print-directory lint unit
# The tests have built the program: `browser` and `docs-check` would build it once more, with fewer features.
	@scripts/browser-test.sh
	@scripts/api-test.sh
	@scripts/reference.sh check
	@$(MAKE) --no-print-directory rustdoc

# The program alone has fewer features than with everybody's tests: it must build that way too.
lint:
	$(CARGO) fmt --all --check
	$(CARGO) check --release -p groundswell
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings

unit:
	$(CARGO) test --release --workspace --no-fail-fast

api: build
	@scripts/api-test.sh

browser: build
	@scripts/browser-test.sh

# Reference pages are generated from the code; `docs-check` fails where they were not.
docs: build
	@scripts/reference.sh write

docs-check: build
	@scripts/reference.sh check
	@$(MAKE) --no-print-directory rustdoc

rustdoc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --quiet

bench:
	$(CARGO) bench --workspace

clean:
	$(CARGO) clean
	rm -rf connectors/console/dist connectors/console/node_modules
