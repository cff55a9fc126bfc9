# make quick | repro | add | verify | bench | test | lint | readme | carry | lock; the stages are in dvc.yaml.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
MARK := not slow

# All paths are relative to the repository's folder, whose own path may have spaces.
ifneq ($(shell own="$(MAKEFILE_LIST)"; [ "$${own# }" -ef Makefile ] || echo elsewhere),)
$(error This must run in the folder of its Makefile: make -C <that folder> $(MAKECMDGOALS))
endif

# DVC's stages call `python`: let it be the environment's, with no other packages than its own.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
unexport PYTHONHOME PYTHONPATH
# Whatever a user sets pip to for other projects, the locked packages go into the environment.
export PIP_USER := 0
export PIP_REQUIRE_HASHES := 0
export PIP_CONSTRAINT := /dev/null
unexport PIP_TARGET PIP_PREFIX PIP_ROOT

.PHONY: help install quick repro add verify bench test lint readme carry lock

help:
	@echo "make quick    everything at reduced scale, minutes on two CPU cores"
	@echo "make repro    the paper's recipe, hours on a CPU; may be interrupted at any time"
	@echo "make add      train what your own data add to the released results, and keep those"
	@echo "make verify   the released MNIST numbers from the released weights, without training"
	@echo "make bench    how fast it is on this machine, against plain twins: minutes"
	@echo "make test     the tests; the slow ones by make test MARK=slow"
	@echo "make lint     ruff and mypy"
	@echo "make readme   fill the README's numbers from reports/"
	@echo "make carry    keep finished runs over a change of code that changes no byte of them"
	@echo "make install  only make $(VENV) with the locked versions"

install: $(READY)

# An environment is made anew if its Python is gone or not supported, or if the folder was moved.
SOUND := $(shell unset PYTHONHOME PYTHONPATH; ($(VENV)/bin/python paper_repro/system.py && \
  $(VENV)/bin/pip --version) > /dev/null 2>&1 && echo yes)
ifneq ($(SOUND),yes)
$(READY): environment
endif

.PHONY: environment
environment:
	@$(PYTHON) paper_repro/system.py
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null || \
	  { echo "$(PYTHON) can't make environments: apt install python3-venv (Debian)" >&2; exit 2; }
	@[ ! -e $(VENV) ] || [ -e $(VENV)/.paper_repro ] || [ -e $(READY) ] || \
	  { echo "$(VENV) is not from this Makefile: move it away" >&2; exit 2; }
	@mkdir -p $(VENV) && touch $(VENV)/.paper_repro  # what an interrupt leaves is known again
	$(PYTHON) -m venv --clear $(VENV)
	@touch $(VENV)/.paper_repro

$(READY): requirements.lock pyproject.toml
	$(VENV)/bin/pip --disable-pip-version-check install --requirement requirements.lock
	$(VENV)/bin/pip --disable-pip-version-check install --no-deps --no-build-isolation --editable .
	@[ -e .git ] || dvc config --local core.no_scm true  # a tarball: DVC must not look for git
	@touch $(READY)

quick: $(READY)
	@paper_repro repro quick

repro: $(READY)
	@paper_repro repro paper

add: $(READY)
	@paper_repro released
	@paper_repro repro paper --allow-missing

verify: $(READY)
	paper_repro verify

bench: $(READY)
	paper_repro bench

# A process a core; more than eight would want more than 8 GB.
test: $(READY)
	python -m pytest -m "$(MARK)" --numprocesses logical --maxprocesses 8 --dist worksteal

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy

readme: $(READY)
	paper_repro readme

# make carry BASE=<commit>, or FROM=<clone> RUN=<run>; EXCEPT=<experiment>: see tests/carry.py.
carry: $(READY)
	python -m tests.carry $(if $(BASE),--base $(BASE)) $(if $(FROM),--clone "$(FROM)" --run "$(RUN)") \
	  $(if $(EXCEPT),--except $(EXCEPT))

lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header --upgrade --output-file requirements.lock
