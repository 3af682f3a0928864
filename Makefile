# make demo           everything once, without Spack: a store, a kernel, a notebook with a plot
# make labextension   the JupyterLab extension, into labextension/built; needs Node.js
# make test           the checkers and the test suite, without the slow tests; COVERAGE=1 also
#                     measures which lines run, which takes twice as long
# make test-unit      the tests that start no process
# make test-slow      the slow tests: the import index, long runs
# make test-browser   the tests in Chromium: JupyterLab and JupyterHub
# make test-pythons   the unit tests on each Python of this machine
# make test-lowest    the tests with the lowest version of each dependency
# make docs           the documentation, into site/
# make release        check version, changelog and contents of the distributions, into dist/
# make clean          remove what these made
#
# Each makes the virtual environment .venv first; PYTHON names the Python for it (3.10 to 3.15).

PYTHON ?= python3
STORE ?= demo-store
WORKERS ?= 2
LOWEST := tests/spack tests/kernels tests/jupyter/provisioner/test_provisioner.py \
	tests/jupyter/kernelspecs tests/jupyter/discovery/test_offers.py tests/jupyter/test_server.py
BIN := .venv/bin

.PHONY: demo labextension test test-unit test-slow test-browser test-pythons test-lowest docs release clean
.DELETE_ON_ERROR:

demo: .venv/demo
	$(BIN)/spack-kernel demo $(STORE)
	$(BIN)/python notebooks/quickstart.py $(STORE) --output quickstart-output

# Two workers; the tests of a file share servers and stores, and stay on one of them.
PYTEST := pytest --numprocesses $(WORKERS) --dist loadfile

labextension:
	$(PYTHON) labextension/build.py

test: .venv/test labextension
	npm --prefix labextension run --silent check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
ifeq ($(COVERAGE),)
	$(BIN)/python -m $(PYTEST)
else
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
endif

test-unit: .venv/test labextension
	$(BIN)/python -m $(PYTEST) -m unit

test-slow: .venv/test
	$(BIN)/python -m $(PYTEST) -m 'slow and not soak'

test-browser: .venv/test labextension
	$(BIN)/python -m $(PYTEST) tests/browser

test-pythons:
	tests/pythons.sh

test-lowest: .venv/lowest/test
	.venv/lowest/bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(LOWEST)

.venv/lowest/test: pyproject.toml tests/lowest.txt .venv/pyvenv.cfg
	$(PYTHON) -m venv .venv/lowest
	.venv/lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint tests/lowest.txt --editable '.[test-core]'
	touch $@

release: .venv/release
	$(BIN)/python tests/release.py

docs: .venv/docs
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv demo-store quickstart-output site dist labextension/built labextension/lib labextension/node_modules

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v <= (3, 15) or sys.exit(f"Python 3.10 to 3.15 is needed, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

# The JupyterLab of the tests uses the extension where it is built.
.venv/test: .venv/labextension
.venv/labextension: .venv/pyvenv.cfg
	$(PYTHON) labextension/build.py --into .venv
	touch $@

.venv/demo .venv/test .venv/docs .venv/release: .venv/%: .venv/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@
