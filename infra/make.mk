# Deployment. Included by the Makefile. ENV names a folder of infra/environments.
ENV ?= dev
INFRA := .venv-infra/bin/python
CDK := node_modules/.bin/cdk -c env=$(ENV)
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 1

.PHONY: synth diff deploy destroy rehearse cost weight infra-env infra-readme check-infra test-infra

synth: infra-env
	$(CDK) synth --quiet

diff: infra-env
	$(CDK) diff

deploy: infra-env
	$(CDK) deploy --all --require-approval broadening

destroy: infra-env
	$(CDK) destroy --all

# The whole life of an environment against an emulator on loopback: no account, no Docker.
rehearse: infra-env .venv-ministack/.done $(VENV)/.test
	$(BIN)/python -m tests.infra.rehearsal

# What an environment costs, from its settings and dated prices.
cost: infra-env
	$(INFRA) -m infra.cost $(ENV)

check-infra: infra-env
	.venv-infra/bin/mypy --config-file infra/mypy.ini

test-infra: infra-env $(VENV)/.test
	$(BIN)/python -m pytest tests/infra

infra-env: .venv-infra/.done node_modules/.done

.venv-infra/.done: requirements-infra.txt
	$(PYTHON) -m venv .venv-infra
	.venv-infra/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

node_modules/.done: package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# Unzipped size of the proxy and its import time in a fresh process.
weight: infra-env
	$(INFRA) -m infra.weight

infra-readme: infra-env
	$(INFRA) -m infra.readme
