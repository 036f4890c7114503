SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
PYTEST := .venv/bin/python -m pytest -n 2 --dist worksteal

.PHONY: help setup setup-test compile run smoke demo check format mongo test test-quick test-mongo pictures fuzz model bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: .venv/.done node_modules/.done static/vendor/.done ## install what running it needs: .venv, npm packages, static/vendor
	@echo "== set up"

# A stamp is newer than everything it was made from; the second time make has nothing to do.
ifneq ($(shell cat .venv/made-in 2>/dev/null),$(CURDIR))
.PHONY: .venv/.done
endif
.venv/.done: setup.cfg pyproject.toml constraints.txt tools/setup.sh
	@tools/setup.sh python
	@touch $@

node_modules/.done: package.json package-lock.json .npmrc tools/setup.sh
	@tools/setup.sh node
	@touch $@

static/vendor/.done: node_modules/.done tools/vendor.mjs $(wildcard static/icons.txt)
	@tools/setup.sh vendor
	@touch $@

compile: setup ## compile the path of packets, which trebles its speed (needs a C compiler; a minute, again after changes)
	@tools/setup.sh compile
	@.venv/bin/python tools/compile.py

mongo: .tools/bin/secantusd-rs ## build SecantusDB's Rust server for measuring at size (needs cargo and cmake; 5 to 15 minutes, once)

.tools/bin/secantusd-rs: tools/mongo-version tools/mongo_limit.py tools/mongo_limit.rs
	@tools/setup.sh mongo
	@touch $@

setup-test: setup ## install what the tests need besides: Debian's chromium, fonts-noto-cjk, clients and gateways
	@tools/setup.sh debian

run: setup ## run the whole service over embedded stores, with a demo tenant; Ctrl-C ends it
	@exec .venv/bin/openpns run

smoke: setup ## run it on free ports in a temporary folder, drive the story of a first login, report each step
	@.venv/bin/python -m tests.smoke

demo: setup ## create the demo tenant in the data folder (make demo ARGS="--tenants 100 --accounts 1000" for a large set)
	@.venv/bin/openpns demo $(ARGS)

check: setup ## lint, format and type checks
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: setup ## format the code and fix what ruff can fix
	.venv/bin/ruff check --fix-only --quiet .
	.venv/bin/ruff format .

# in one process tests run the sources; the processes that they start run what was compiled from them
test: setup-test check compile ## everything: checks, all tests, smoke
	$(PYTEST)
	$(MAKE) smoke

test-quick: setup check ## the checks and the tests that need no browser, no other programs and little time
	$(PYTEST) -m "not e2e and not crash and not gateway and not slow"

bench: compile ## speed against FreeRADIUS, which it installs (make bench ARGS="--only auth --rounds 3"; ARGS=--help)
	@tools/setup.sh bench
	@.venv/bin/python -m tests.bench.run $(ARGS)

test-mongo: setup-test mongo ## all tests on SecantusDB's Rust server; with OPENPNS_MONGO_URL set, on that server
	tools/with-mongo $(PYTEST) $(ARGS)

pictures: setup-test ## make the pictures of the tours in docs/ anew
	TOUR_PICTURES=docs/images/tour .venv/bin/python -m pytest -q -n0 tests/e2e/test_tour.py

fuzz: compile ## a million mutated packets of each kind (make fuzz ARGS="--packets 10000 --seed 7 --kinds auth,acct")
	@.venv/bin/python -m tests.fuzz $(ARGS)

model: setup ## random lives of devices against a plain reference of accounting (make model ROUNDS=100)
	@MODEL_ROUNDS=$(or $(ROUNDS),30) $(PYTEST) tests/tenants/test_accounting_model.py

clean: ## remove what setup and the tools made; the data folder var/ stays
	rm -rf .venv .tools .compiled node_modules static/vendor *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find saas tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
