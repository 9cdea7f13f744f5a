# make results: everything, with a report.   make test: every test.   Nothing else is needed first.
# make studies: the side studies of config/studies.yaml.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed

.PHONY: results studies test test-cluster test-envs test-faults reliability lint format lock clean-venv

results: $(STAMP)
	@$(VENV)/bin/python -m lmcore.launch

studies: $(STAMP)
	$(VENV)/bin/snakemake --cores all --configfile config/studies.yaml -- studies

# a file of tests stays in one process, so that what its tests share is made once
test: $(STAMP)
	$(VENV)/bin/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

# a real Slurm of one node, from Debian's packages; skips where they are missing and may not be installed
test-cluster: $(STAMP)
	tests/cluster/install.sh
	$(VENV)/bin/python -m pytest tests/cluster

# the pip section of each file in envs/ in a venv of its own, and its scripts there
test-envs: $(STAMP)
	$(VENV)/bin/python -m pytest tests/envs

# kills, full disks, little memory, bad input, hostile files, leaks: a quarter of an hour; -m sample is less
test-faults: $(STAMP)
	$(VENV)/bin/python -m pytest tests/faults

# the same, and the table of what was survived
reliability: $(STAMP)
	$(VENV)/bin/python -m pytest tests/faults --reliability docs/reliability.md

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/snakefmt --check Snakefile rules
	$(VENV)/bin/lint-imports
	$(VENV)/bin/hadolint Dockerfile

format: $(STAMP)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/snakefmt Snakefile rules

# torch alone first: asked for together with others, an installer may prefer another build of it
$(STAMP): envs/requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "error: Python's venv is missing; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' $<)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

lock:
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet torch==2.13.0
	$(VENV)-lock/bin/python -m pip install --quiet '.[test]'
	$(VENV)-lock/bin/python -m pip freeze --exclude lmcore | sed 's/+cpu$$//' > envs/requirements.lock
	rm -rf $(VENV)-lock
