# Each target creates the environment in .venv first.
# make demo: run the pipeline of params.yaml (as cloned: the toy city) with Snakemake, print the table of results
# make repro: run the pipeline of params.yaml with DVC, without Snakemake
# make test: run the linter, the type checker and all tests; make test-fast: the same without slow tests
# make docs: build the documentation site into site/, without a network
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
ENV := .venv/installed
export PATH := $(BIN):$(PATH)

.PHONY: demo repro test test-fast lint env docs bench clean
.DEFAULT_GOAL := demo

env: $(ENV)

$(ENV): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f"$(PYTHON) is Python {v[0]}.{v[1]}; allowed: 3.11 to 3.13; do next: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs,efficientnet,export]'
	@test -x $(BIN)/dvc || $(BIN)/python -m pip install --quiet --force-reinstall --no-deps --constraint constraints.txt dvc  # older versions of intrada replaced bin/dvc
	@touch $@

repro: env
	python -m intrada.pipeline.dvc_command repro

demo: env
	snakemake --cores all --resources gpu=1
	@echo; cat results/report/table.md; echo
	@echo "figures: $(CURDIR)/results/report/figures    page: $(CURDIR)/results/report/index.html"

lint: env
	ruff format --check .
	ruff check .
	snakefmt --check Snakefile workflow
	mypy

test: lint
	python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

test-fast: lint
	python -m pytest -n 2 --dist worksteal -m 'not slow and not drivers and not paper and not parity'

docs: env
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --quiet
	@echo "site: $(CURDIR)/site/index.html; the search needs a server: python -m http.server --directory site"

bench: env
	python -m benchmarks

clean:
	rm -rf site results ablation/results data/preprocess data/raw/toycity runs logs .snakemake
