# Everything runs in .venv, which each target makes by itself, from pinned versions.

OLDEST := 3.11
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c '$(IS_NEW_ENOUGH)' && echo $$p && break; done)
IN_VENV := .venv/bin/python
SOURCES := deploy.py teardown.py deployer etl functions pipelines local benchmarks

.PHONY: help demo test coverage quick mutants runtimes soak bench check audit setup setup-deploy lock clean

help:  ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile | awk -F ': ' '{printf "%-14s%s\n", $$1, $$2}'

demo: setup  ## a pipeline on this machine, from a live database to the warehouse; PIPELINE=totesys
	@$(IN_VENV) deploy.py local --once

# Without bytecode each of hundreds of processes would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# A module stays in one process, and with it what its tests share. In their order: the longest
# modules are in the middle, and many short ones at the end.
SIDE_BY_SIDE := -n auto --dist loadfile --no-loadscope-reorder

test: setup  ## all tests, side by side
	@$(IN_VENV) -m pytest $(SIDE_BY_SIDE)

coverage: setup  ## the same in a third more time, with coverage, which is 90 % at least
	@$(IN_VENV) -m pytest $(SIDE_BY_SIDE) --cov --cov-report=term --cov-fail-under=90

quick: setup  ## the tests that need no database, in about half a minute
	@$(IN_VENV) -m pytest $(SIDE_BY_SIDE) -q tests/unit

MUTANTS ?= 300
mutants: setup  ## whether tests notice defects in what decides about rows; MUTANTS=all MODULES=functions/load
	@$(IN_VENV) -m tests.mutants --sample $(MUTANTS) --seed "$(SEED)" $(MODULES)

RUNTIME ?=
runtimes: setup  ## what is deployed, in AWS's runtime emulator, for each Python there is; RUNTIME=3.13
	@RUNTIME=$(RUNTIME) $(IN_VENV) -m pytest -q tests/runtimes

MINUTES ?= 30
soak: setup  ## a random shop, functions killed and hindered, the comparison, and fuzzing; MINUTES=30
	@$(IN_VENV) -m tests.pipeline.soak --minutes $(MINUTES)
	@$(IN_VENV) -m tests.fuzz --seconds 120

bench: setup  ## side by side with raw COPY and other tools, 70 minutes; BENCH="--quick" for less
	@$(IN_VENV) -m benchmarks $(BENCH)

check: setup  ## style, types, security
	@$(IN_VENV) -m ruff format --check $(SOURCES) tests
	@$(IN_VENV) -m ruff check $(SOURCES) tests
	@$(IN_VENV) -m mypy
	@$(IN_VENV) -m bandit --quiet --recursive --configfile pyproject.toml $(SOURCES)
	@.venv/bin/kingfisher $(FIND_SECRETS) $(SOURCES) tests requirements .github .ci *.* .env.example Makefile
	@$(IN_VENV) -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@.venv/bin/zizmor --offline --quiet --no-progress .github/workflows

# In low confidence too, where the finder sorts what looks like a test. The passwords that may be in
# a file are these, whole: the word itself in examples, and the made-up ones of tests.
FIND_SECRETS := scan --quiet --no-validate --no-update-check --no-rule-cache --redact --no-binary \
	--git-history none --confidence low --no-dedup \
	--skip-regex '^(password|one|two|s3cret|s3\[cret|12\#34)$$'

audit: setup .build/audit/ready  ## parliament, prowler and zizmor; what they find has its reason in docs/audit.md
	@$(IN_VENV) -m tests.audit

.build/audit/ready: requirements/audit.txt requirements/audit-prowler.txt
	@$(IN_VENV) -m venv --clear .build/audit
	@.build/audit/bin/python $(INSTALL) -r requirements/audit.txt
	@.build/audit/bin/python $(INSTALL) --no-deps -r requirements/audit-prowler.txt
	@touch $@

setup: .venv/ready  ## .venv with everything in it

setup-deploy: .venv/ready-to-deploy  ## .venv with what deploy.py and teardown.py need, and no more

# Wheels alone: a source package would run its own code while it is built, and fetch what it is
# built with by no lock, beside whatever credentials are there.
INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:
.venv/ready: requirements/dev.txt
.venv/ready-to-deploy: requirements/deploy.txt
.venv/ready .venv/ready-to-deploy:
	@test -n "$(PYTHON)" || { \
		echo "Python $(OLDEST) or later is needed and was not found: make PYTHON=/path/to/python3" >&2; exit 1; }
	@test ! -L .venv || { echo ".venv is a link: set it up where it leads to" >&2; exit 1; }
	@echo "Setting up .venv (about a minute, once)"
	@"$(PYTHON)" -m venv --clear .venv
	@$(IN_VENV) $(INSTALL) -r $<
	@touch $@

LOCK := uvx uv pip compile --quiet --universal --python-version $(OLDEST) --generate-hashes --no-header
lock:  ## new versions into requirements/, from pyproject.toml (needs uv)
	$(LOCK) --upgrade pyproject.toml --group layer-arrow --group layer-postgres --group layer-mysql \
		--group layer-pandas --group pipeline-retail --group local-postgres --group test --group check \
		-o requirements/dev.txt
	$(LOCK) -c requirements/dev.txt pyproject.toml -o requirements/deploy.txt
	$(LOCK) -c requirements/dev.txt --group pipeline-retail -o pipelines/retail/requirements.txt
	for group in layer-arrow layer-postgres layer-mysql layer-pandas layer-lake layer-powertools; do \
		$(LOCK) -c requirements/dev.txt --group $$group -o requirements/$$group.txt || exit 1; done
	for group in local-aws query lake-readers bench audit lambda-runtime; do \
		$(LOCK) --upgrade --group $$group -o requirements/$$group.txt || exit 1; done
	for group in audit-prowler lambda-emulator; do \
		$(LOCK) --upgrade --no-deps --group $$group -o requirements/$$group.txt || exit 1; done

clean:  ## remove what was made here: .venv, packages, the local databases and AWS
	rm -rf .venv .build .local
