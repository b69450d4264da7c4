# Everything runs from a private environment in .venv; nothing has to be activated, nothing else is touched.
#
#   make demo    report on the sample logs in examples/
#   make test    the whole suite; the live tests need root, postfix, opendkim, opendkim-tools and rsyslog
#   make compiled       a copy of the tree in build/compiled whose engine is compiled by mypyc (needs a C compiler)
#   make test-compiled  the whole suite there
#   make lint    ruff and mypy
#   make man     the man page, as build/man/logscan.1 (a wheel has it as share/man/man1/logscan.1)
#   make bench   time logscan beside other programs, e.g. make bench ARGS="--lines 100000 --runs 3"
#   make clean   remove what the above made
#
# Another Python: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
IN := $(VENV)/bin
PIP := $(IN)/python -m pip --quiet --disable-pip-version-check --no-input
ARGS ?=

# Root in a private environment is what we want: no warning about it.
export PIP_ROOT_USER_ACTION := ignore

.PHONY: demo test compiled test-compiled lint man bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(IN)/logscan report examples/

test: $(VENV)/.installed-dev
	@$(IN)/python -m pytest $(ARGS); status=$$?; \
	if [ $$status -eq 5 ]; then echo "make test: no test was found, which is an error" >&2; fi; exit $$status

# A copy, since a compiled module lies beside its source and goes before it: the tree stays pure Python.
compiled:
	@rm -rf build/compiled
	@mkdir -p build/compiled
	@git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory=build/compiled
	@LOGSCAN_COMPILE=1 $(MAKE) --no-print-directory -C build/compiled .venv/.installed-dev

test-compiled: compiled
	@LOGSCAN_COMPILE=1 $(MAKE) --no-print-directory -C build/compiled test

lint: $(VENV)/.installed-dev
	$(IN)/python -m ruff check .
	$(IN)/python -m mypy

man: $(VENV)/.installed
	@mkdir -p build/man
	$(IN)/python -m logscan.man > build/man/logscan.1

bench: $(VENV)/.installed-dev
	$(IN)/python tests/bench/run.py $(ARGS)

clean:
	rm -rf $(VENV) build dist mail_logscan.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find logscan tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

# Asked for first, since a failed `-m venv` says a page of text and leaves half an environment behind.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "make: $(PYTHON) is missing or older than 3.11; name another one with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "make: $(PYTHON) cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml
	@echo "installing logscan into $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.made pyproject.toml
	@echo "installing logscan and what its tests need into $(VENV)"
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/.installed
