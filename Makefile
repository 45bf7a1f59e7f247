# `make` says what there is. The environment is made when it is missing or pyproject.toml changed,
# and made anew when it has no pip or was moved: its programs then name another folder.
PYTHON ?= python3
CORES ?= 2
GRID ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := build/tools
TORCH := torch==2.13.0
HOME_OF_PIP := $(shell $(BIN)/pip --version 2>/dev/null | sed -n 's,^pip .* from \(.*\)/lib.*,\1,p')
SOUND := $(shell test "$(HOME_OF_PIP)" -ef $(VENV) && echo yes)
CONFIG := $(if $(GRID),--config grid=$(GRID))
KEPT := $(patsubst results/%/evidence,%,$(wildcard results/*/evidence))
# the extra `bench`, without what it would pull in: it must not move torch
PEERS := $(shell sed -n '/^bench = /,/^]/s/^ *"\([^"]*\)",*/\1/p' pyproject.toml)
SERVICES := $(shell sed -n '/^services = /,/^]/s/^ *"\([^"]*\)",*/\1/p' pyproject.toml)

export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup run restore test test-slow test-services faults audit sbom check docs bench gpu-check format lock schema clean-env

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

ifneq ($(SOUND),yes)
.PHONY: $(READY)
endif

setup: $(READY) ## make the environment .venv (some minutes)

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; ok = (3, 11) <= v <= (3, 13); \
	sys.exit(not ok and "found Python %d.%d, needed 3.11 to 3.13: make PYTHON=python3.11" % v)'
	test "$(SOUND)" || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python workflow/offline_plots.py
	touch $@

run: $(READY) ## run the grid of params.yaml (GRID=ci for another): tables, figures, MLflow view
	snakemake --cores $(CORES) --resources gpu=1 $(CONFIG)

restore: $(READY) ## the pages of all grids that have evidence in git: minutes, trains nothing
	@for grid in $(or $(GRID),$(KEPT)); do \
		snakemake --cores $(CORES) --config grid=$$grid \
			--omit-from meta_train profile_cost run_study || exit 1; \
		test -f results/$$grid/report.html || { echo "results/$$grid: its evidence lacks runs," \
			"train them: snakemake --cores $(CORES) --config grid=$$grid" >&2; exit 1; }; \
	done

test: $(READY) ## all tests but the slow ones and those that need a GPU
	pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not gpu"

test-slow: $(READY) ## the slow tests
	pytest -m "slow and not gpu"

test-services: $(READY) ## MLflow on PostgreSQL and S3, which it starts (needs Debian's postgresql)
	$(BIN)/python -m pip install --quiet $(patsubst %,'%',$(SERVICES))
	pytest -m slow tests/workflow/test_services.py

faults: $(READY) ## accidents done to a real workflow for half an hour (MINUTES=5 for fewer)
	python -m tests.faults --minutes $(or $(MINUTES),30) --out benchmarks/results/faults.json

bench: $(READY) ## our methods beside other libraries, some minutes (DEVICE=cuda, ONLY=memory)
	$(BIN)/python -m pip install --quiet --no-deps $(PEERS)
	python -m benchmarks --device $(or $(DEVICE),cpu) $(if $(ONLY),--only $(ONLY))

gpu-check: $(READY) ## the tests that need a CUDA device, then the benchmarks on it
	pytest -m gpu
	python -m benchmarks --device cuda

check: $(READY) ## style, types, workflow lint, params schema, the site; then the tests
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint
	mypy
	python -m pipeline check-params
	python -m pipeline schema | diff -q - workflow/schemas/params.schema.json
	python -m pipeline schema --of-grid | diff -q - workflow/schemas/grid.schema.json
	$(MAKE) audit
	$(MAKE) docs
	$(MAKE) test

docs: $(READY) ## build the site from docs/ and the docstrings: site/index.html
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --config-file docs/site/mkdocs.yml

format: $(READY) ## let ruff and snakefmt rewrite the code
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow

schema: $(READY) ## write the JSON Schemas of params.yaml and grids/*.yaml
	python -m pipeline schema workflow/schemas/params.schema.json
	python -m pipeline schema --of-grid workflow/schemas/grid.schema.json

# torch and the CUDA stack that it brings differ by platform: they are not in the lock
lock: ## resolve pyproject.toml into requirements.lock (needs uv; UPGRADE=--upgrade for news)
	cp requirements.lock requirements.lock.new
	uv pip compile --universal --python-version 3.11 --extra dev --no-annotate --no-header \
		--generate-hashes --quiet $(UPGRADE) --output-file requirements.lock.new pyproject.toml
	awk '/^[a-z]/ {kept = !/^(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==/} kept' \
		requirements.lock.new > requirements.lock
	rm requirements.lock.new

$(TOOLS)/.ready: Makefile
	$(PYTHON) -m venv --clear $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet pip-audit==2.10.1 cyclonedx-bom==7.5.0
	touch $@

audit: $(READY) $(TOOLS)/.ready ## known vulnerabilities of what the lock pins, where their list can be had
	@rm -f $(TOOLS)/audit.json
	$(TOOLS)/bin/pip-audit --requirement requirements.lock --disable-pip --require-hashes \
		--progress-spinner off --format json --output $(TOOLS)/audit.json \
		2> $(TOOLS)/audit.log || true
	python workflow/audit.py $(TOOLS)/audit.json

sbom: $(READY) $(TOOLS)/.ready ## what .venv holds, as a CycloneDX list: build/sbom.json
	$(TOOLS)/bin/cyclonedx-py environment --output-reproducible --output-file build/sbom.json \
		$(VENV)

clean-env: ## delete .venv
	rm -rf $(VENV)
