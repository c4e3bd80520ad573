# Everything runs from a virtual environment made here; nothing else is installed or started.
PYTHON ?= $(firstword $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p"; done) python3)
VENV := .venv
BIN := $(VENV)/bin
# On a machine with a GPU, or where plain `torch` is a CUDA build, name an index of CPU builds:
#   make run TORCH_INDEX=<the CPU index that PyTorch's install page names>
TORCH_INDEX ?=
# The tests mostly wait, so that more of them than there are cores go on at a time.
TEST_WORKERS ?= 4
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint requirements.lock $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.DEFAULT_GOAL := help
.PHONY: help run test soak check check-ops audit format openapi metrics-doc kubernetes-rules lock bench clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.run  ## Start the whole service here, with data and a model
	@$(BIN)/upnext up --with-parent

# Each of some hundred processes would compile all of it anew where the shell forbids to keep that.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.dev  ## Run every test, on servers the tests start themselves
	@$(BIN)/python -m pytest -p no:cacheprovider -n $(TEST_WORKERS)

soak: $(VENV)/.dev  ## Run the long rounds: faults, limits, load (many minutes)
	@$(BIN)/python -m pytest -p no:cacheprovider -m soak --timeout 1800 tests/soak

check: $(VENV)/.dev  ## Lint, format, types, import rules, container files
	@$(BIN)/ruff check --no-cache .
	@$(BIN)/ruff format --no-cache --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec milvus-compose.yml deploy/compose/stores.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/zizmor --offline --quiet .github
	@$(BIN)/pre-commit validate-config .pre-commit-config.yaml
	@deploy/kubernetes/check.sh $(BIN)

check-ops: $(VENV)/.dev  ## Check alerts and more by tools from elsewhere; names those that are absent
	@deploy/check-ops.sh

audit: $(VENV)/.dev  ## Look for known vulnerabilities of what is locked (asks a service)
	@$(BIN)/pip-audit --requirement requirements.lock --no-deps --disable-pip --strict

format: $(VENV)/.dev  ## Format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

openapi: $(VENV)/.dev  ## Write contracts/openapi.json and asyncapi.json anew, after a change of a contract
	@$(BIN)/python -m tests.contract_http.snapshot
	@$(BIN)/upnext bus asyncapi > contracts/asyncapi.json

metrics-doc: $(VENV)/.dev  ## Write the tables of docs/metrics.md anew, after a change of a metric
	@$(BIN)/python -m tests.metrics_page

kubernetes-rules: $(VENV)/.dev  ## Write the rules for Kubernetes anew, after a change of deploy/monitoring/rules.yml
	@$(BIN)/python -m tests.kubernetes

bench: $(VENV)/.bench  ## Measure the service: starts one, loads it, prints figures
	@$(BIN)/python -m bench
	@$(BIN)/python -m bench.uncached
	@$(BIN)/python -m bench.hot
	@$(BIN)/python -m bench.tracing
	@$(BIN)/python -m bench.memory
	@$(BIN)/python -m bench.capacity
	@$(BIN)/python -m bench.scrape
	@$(BIN)/python -m bench.bus
	@$(BIN)/python -m bench.events_rate
	@$(BIN)/python -m bench.events_lag --rows 300000
	@$(BIN)/python -m bench.events_to_list
	@$(BIN)/python -m bench.events_heavy --rows 300000
	@$(BIN)/python -m bench.beside_training
	@$(BIN)/python -m bench.memory_of_training
	@$(BIN)/python -m bench.training_speed
	@$(BIN)/python -m bench.new_videos

COMPILE := $(BIN)/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host --no-emit-options --no-annotate --no-header
HASHES := $(COMPILE) --generate-hashes --constraint requirements.lock

lock: $(VENV)/.dev  ## Renew requirements*.lock from pyproject.toml
	@echo 'torch==2.13.0' > $(VENV)/torch.txt  # the release whose CPU build the lock is tried with
	@$(COMPILE) --all-extras --constraint $(VENV)/torch.txt --output-file requirements.lock pyproject.toml
	@sed -i.bak -E 's/^(torch==[0-9.]+)\+.*/\1/' requirements.lock && rm requirements.lock.bak
	@# What the images are made of, with hashes: but torch, which is another file on each index.
	@$(HASHES) --output-file requirements.api.lock pyproject.toml
	@$(HASHES) --extra train --unsafe-package torch --unsafe-package setuptools \
		--output-file requirements.worker.lock pyproject.toml
	@$(HASHES) --allow-unsafe --only-build-deps --build-deps-for wheel \
		--output-file requirements.build.lock pyproject.toml

clean:  ## Remove the virtual environment; data in .upnext stays
	rm -rf $(VENV)

$(VENV)/bin/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Upnext needs Python 3.11 or newer, and '$(PYTHON)' is not. Install one, or name it: make run PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python's venv module does not work here; install it (Debian: python3-venv)." >&2; exit 1; }

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the service into $(VENV) (some minutes the first time; torch is large)"
	@$(INSTALL) --editable '.[embedded,train]'
	@touch $@

$(VENV)/.dev: requirements.lock pyproject.toml $(VENV)/.run
	@echo "Installing what tests and checks need"
	@$(INSTALL) --editable '.[dev,embedded,ray,train]'
	@touch $@

$(VENV)/.bench: requirements.lock pyproject.toml $(VENV)/.run
	@$(INSTALL) --editable '.[bench,embedded,train]'
	@touch $@
