# The two commands a newcomer needs: `make dev` and `make test`. `make check` is what keeps main green.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := @$(BIN)/python -m pip install --quiet --disable-pip-version-check
CONFIG ?=
PORT ?= 4000
STATE ?= .tollkeeper
export PYTHONPATH := layers/gateway/python

.PHONY: dev test test-all check format lock bench conformance emulators sdks

dev: $(VENV)/.dev
	@$(BIN)/python -m tollkeeper.dev.server $(if $(CONFIG),--config $(CONFIG)) --port $(PORT) --state $(STATE)

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-all: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory check-infra

format: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.test
	$(BIN)/python -m tests.bench

conformance: $(VENV)/.test
	$(BIN)/python -m tests.conformance

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Tollkeeper needs Python 3.11 or newer; say which with PYTHON=" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.dev: requirements.txt | $(VENV)/bin/python
	$(PIP) --require-hashes -r requirements.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: requirements-dev.txt | $(VENV)/bin/python
	$(PIP) --require-hashes -r requirements-dev.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.dev

# Engines the store's contract suite also runs against; what cannot be had is skipped there with a reason.
emulators: .venv-ministack/.done
	@if command -v apt-get dpkg >/dev/null; then $(MAKE) --no-print-directory .cache/promtool/.done || echo "promtool is not to be had here"; fi
	@if command -v mvn java >/dev/null; then $(MAKE) --no-print-directory .cache/dynamodb-local/.done || echo "DynamoDB Local is not to be had here"; fi

# Providers' own clients, for the slow round trips.
sdks: .venv-sdks/.done

.venv-sdks/.done: tests/sdks/requirements.txt
	$(PYTHON) -m venv .venv-sdks
	.venv-sdks/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv-ministack/.done: tests/ministack-requirements.txt
	$(PYTHON) -m venv .venv-ministack
	.venv-ministack/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.cache/dynamodb-local/.done: tests/dynamodb-local/pom.xml
	mvn -q -B -f $< org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/.cache/dynamodb-local
	@touch $@

# Unpacked and not installed: the package would start a server.
.cache/promtool/.done:
	mkdir -p $(@D)/package && cd $(@D)/package && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; }
	dpkg -x $(@D)/package/prometheus_*.deb $(@D)
	@rm -r $(@D)/package && touch $@

# Rewrites every lock from its .in file; needs uv (https://docs.astral.sh/uv/).
lock:
	for f in layers/dependencies/proxy layers/dependencies/admin requirements requirements-dev requirements-infra; do \
	  uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" $$f.in -o $$f.txt || exit 1; \
	done
	cd tests && uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" ministack-requirements.in -o ministack-requirements.txt
	for d in tests/clients/*/requirements.in; do \
	  (cd $$(dirname $$d) && uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" requirements.in -o requirements.txt) || exit 1; \
	done
	cd tests/sdks && uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" requirements.in -o requirements.txt

-include infra/make.mk
