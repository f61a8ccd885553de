# Each target creates the environment in .venv first: the demo's, to which the targets of tests and benchmarks add the rest.
# make demo: run the pipeline of params.yaml (as cloned: the toy city) with Snakemake, print the table of results
# make demo TORCH=cpu: the same with torch's build without CUDA, a seventh of the size; to go back: rm -r .venv
# make repro: run the pipeline of params.yaml with DVC, without Snakemake
# make test: run the linter, the type checker and all tests; make test-fast: the same without slow tests
# make docs: build the documentation site into site/, without a network
# make gpu-check: check and measure everything that needs a GPU, within eight minutes
# INSTALLER=pip installs with pip, which reads pip.conf, in place of the faster uv
PYTHON ?= python3
INSTALLER ?= uv
EXTRAS := ablation,dev,docs,efficientnet,export,segformer,slurm,smp,tensorboard,timm
BIN := $(CURDIR)/.venv/bin
DEMO := .venv/installed-demo$(TORCH:%=-%)
TEST := .venv/installed-test$(TORCH:%=-%)
export PATH := $(BIN):$(PATH)
ifneq ($(filter-out cpu,$(TORCH)),)
$(error TORCH=$(TORCH); allowed: cpu; do next: leave it out for the build with CUDA)
endif
# Builds with +cpu in their version are preferred where their index is known, and satisfy the same constraint
ifeq ($(INSTALLER),uv)
CPU := --torch-backend cpu --reinstall-package torch --reinstall-package torchvision
INSTALL = $(BIN)/python -m pip install --quiet --constraint constraints.txt uv && $(BIN)/python -m uv pip install --quiet --python $(BIN)/python
ifeq ($(TORCH),)  # uv does not read pip.conf, which may name the only index that can be reached
OR_PIP = || { echo "uv cannot install; trying pip" >&2; $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '$(1)'; }
endif
else ifeq ($(INSTALLER),pip)
CPU := --extra-index-url https://download.pytorch.org/whl/cpu --upgrade torch torchvision
INSTALL = $(BIN)/python -m pip install --quiet
else
$(error INSTALLER=$(INSTALLER); allowed: uv, pip)
endif
PACKAGE = .$(if $(filter $1,$(TEST)),[$(EXTRAS)])
INSTALL += --constraint constraints.txt $(if $(TORCH),$(CPU))

.PHONY: demo repro test test-fast lint env test-env docs bench gpu-check clean
.DEFAULT_GOAL := demo

env: $(DEMO)
test-env: $(TEST)

$(DEMO) $(TEST): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f"$(PYTHON) is Python {v[0]}.{v[1]}; allowed: 3.11 to 3.13; do next: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	@! $(BIN)/python -m pip show --quiet opencv-python 2>/dev/null || $(BIN)/python -m pip uninstall --quiet --yes opencv-python opencv-python-headless  # older versions of intrada needed it; both write the folder cv2
	$(INSTALL) --editable '$(call PACKAGE,$@)' $(call OR_PIP,$(call PACKAGE,$@))
	@test -x $(BIN)/dvc || $(BIN)/python -m pip install --quiet --force-reinstall --no-deps --constraint constraints.txt dvc  # older versions of intrada replaced bin/dvc
	@touch .venv/installed-demo $@  # what runs the demo is there in any case

repro: env
	python -m intrada.pipeline.dvc_command repro

demo: env
	snakemake --cores all --resources gpu=1
	@echo; cat results/report/table.md; echo
	@echo "figures: $(CURDIR)/results/report/figures    page: $(CURDIR)/results/report/index.html"

lint: test-env
	ruff format --check .
	ruff check .
	snakefmt --check Snakefile workflow
	mypy

test: lint
	python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

test-fast: lint
	python -m pytest -n 2 --dist worksteal -m 'not slow and not drivers and not paper and not parity and not idle and not cluster'

docs: test-env
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --quiet
	@echo "site: $(CURDIR)/site/index.html; the search needs a server: python -m http.server --directory site"

bench: test-env
	python -m benchmarks

gpu-check: test-env
	python -m benchmarks.gpu_check

clean:
	rm -rf site results ablation/results data/preprocess data/raw/toycity runs logs .snakemake
