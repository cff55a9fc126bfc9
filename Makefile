# make quick | repro | add | verify | bench | test | lint | readme | lock; the stages are in dvc.yaml.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready

# DVC's stages call `python`: let it be the environment's.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help install quick repro add verify bench test lint readme lock

help:
	@echo "make quick    everything at reduced scale, minutes on two CPU cores"
	@echo "make repro    the paper's recipe, hours on a CPU; may be interrupted at any time"
	@echo "make add      train what your own data add to the released results, and keep those"
	@echo "make verify   the published MNIST number from its published weights, without training"
	@echo "make bench    how fast it is on this machine, against plain twins: minutes"
	@echo "make test     the tests"
	@echo "make lint     ruff and mypy"
	@echo "make readme   fill the README's numbers from reports/"
	@echo "make install  only make $(VENV) with the locked versions"

install: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is %s: make PYTHON=python3.11" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	python -m pip install --disable-pip-version-check --requirement requirements.lock
	python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@[ -e .git ] || dvc config --local core.no_scm true  # a tarball: DVC must not look for git
	@touch $(READY)

quick: $(READY)
	@paper_repro plan quick
	dvc repro profiles/quick/dvc.yaml
	@echo "See reports/quick/index.html"

repro: $(READY)
	@paper_repro plan paper
	dvc repro
	@echo "See reports/paper/index.html"

add: $(READY)
	dvc repro --allow-missing
	@echo "See reports/paper/index.html"

verify: $(READY)
	paper_repro verify

bench: $(READY)
	paper_repro bench

test: $(READY)
	python -m pytest

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy

readme: $(READY)
	paper_repro readme

lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header --upgrade --output-file requirements.lock
