# Every target sets up by itself what it needs; nothing outside this folder is changed but uv's cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export RAY_ENABLE_UV_RUN_RUNTIME_ENV := 0
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: help setup demo test check docs audit bench lock clean
help: ## this text
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: $(VENV)/.ready ## make .venv from requirements.lock
	@$(BIN)/python -m compileall -q histo_ray

# Modules are compiled here once: where PYTHONDONTWRITEBYTECODE is set, every process of Ray would
# compile torch and Ray anew. uv is used where it is found; otherwise a private copy goes to .venv-uv.
$(VENV)/.ready: requirements.lock pyproject.toml
	@set -e; uv="$$(command -v uv || true)"; \
	if [ -z "$$uv" ]; then \
	  [ -x .venv-uv/bin/uv ] || { $(PYTHON) -m venv .venv-uv && .venv-uv/bin/python -m pip install -q uv; }; \
	  uv=.venv-uv/bin/uv; \
	fi; \
	[ -x $(BIN)/python ] || $$uv venv -q --python '>=3.11' $(VENV); \
	echo "setup: installing the packages of requirements.lock into $(VENV)"; \
	$$uv pip sync -q --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock; \
	$$uv pip install -q --python $(BIN)/python --no-deps --compile-bytecode -e .
	@touch $@
	@echo "setup: done; $(BIN)/histo-ray doctor looks at this machine"

demo: setup ## the main job on embedded synthetic slides
	$(BIN)/histo-ray demo --out demo

test: setup ## all tests but the slow and GPU ones
	$(BIN)/python -m infra.run_tests

check: setup ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup ## the documentation site, in out/site; warnings are errors
	$(BIN)/python -m infra.site

audit: setup ## known vulnerabilities of the packages in requirements.lock; asks OSV
	@uv="$$(command -v uv || echo .venv-uv/bin/uv)"; \
	$(BIN)/python infra/audit.py $(AUDIT) -- $$uv tool run -q pip-audit@2.10.1

bench: setup ## the benchmarks of docs/benchmarks.md; bench.json, bench.svg, a file in benchmarks/history
	$(BIN)/python -m benchmarks --history > bench.json
	$(BIN)/python -m benchmarks.picture bench.json --out bench.svg

lock: ## requirements.lock anew from pyproject.toml
	uv pip compile -q --universal --generate-hashes --no-annotate --no-header --python-version 3.11 --group dev pyproject.toml -o requirements.lock

clean: ## remove what the targets above made
	rm -rf $(VENV) .venv-uv demo .mypy_cache .ruff_cache .pytest_cache
