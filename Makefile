# envlock: what a developer types. Every target works on a fresh clone; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench golden pins clean

VENV := .venv
BIN := $(VENV)/bin
# Tests run in as many processes as there are cores; files stay whole, so that their fixtures are made once.
WORKERS ?= $(shell nproc)
TESTS ?=
# With CI=true the run must reach the branch coverage that pyproject.toml demands.
COVERAGE := $(if $(filter true,$(CI)),--cov --cov-report=term-missing:skip-covered)

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

$(VENV)/.ready: .ci/environment .ci/requirements.txt pyproject.toml
	@sh .ci/environment $(VENV)

demo: $(VENV)/.ready  ## the whole job on a small environment: capture, build, run, compare (under .demo/)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh templates/demo/demo.sh .demo

test: $(VENV)/.ready  ## all tests that can run here; the others say why they are skipped
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(COVERAGE) $(TESTS)

# vermin takes a variable named file for the builtin of Python 2.
lint: $(VENV)/.ready  ## format, style, types, import rule, the runtime's lowest Python, README against --help
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin --quiet --no-tips --exclude file --target=3.8- --violations envlock/runtime
	$(BIN)/python -m pytest -q tests/docs

bench: demo  ## capture, build and runtime beside pip, uv, sha256sum, tar, docker build and the floor, on the demo (writes bench/results/)
	$(BIN)/python bench/bench.py
	$(BIN)/python bench/build.py
	$(BIN)/python bench/capture.py --network
	$(BIN)/python bench/runtime.py

# What the change means for users, tests say where they compare: for an image's layers, another format.
GOLDEN := tests/image/test_reproducible.py tests/lock tests/oci/test_layer.py tests/runtime/test_fingerprint.py

golden: $(VENV)/.ready  ## write the golden files anew, after a change that is meant to alter them
	ENVLOCK_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q $(GOLDEN)

pins: $(VENV)/.ready  ## compile .ci/requirements.txt anew, for every Python that is supported
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh .ci/pins

clean:  ## remove all that make made here
	rm -rf $(VENV) .demo .ci-cache build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache \
	  .ruff_cache .import_linter_cache .hypothesis
