# make demo    a complete example without Spack: build a store, install a kernel, run a notebook
# make test    run the linters, the type checker and the full test suite
# make test-browser   run only the tests in Chromium: JupyterLab and JupyterHub
# make docs    build the documentation in site/
# make clean   remove everything that these targets created
#
# Each target first creates the virtual environment .venv. PYTHON sets its Python (3.10 to 3.15).

PYTHON ?= python3
STORE ?= demo-store
BIN := .venv/bin

.PHONY: demo test test-browser docs clean
.DELETE_ON_ERROR:

demo: .venv/demo
	$(BIN)/spack-kernel demo $(STORE)
	$(BIN)/python notebooks/quickstart.py $(STORE) --output quickstart-output

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-browser: .venv/test
	$(BIN)/python -m pytest tests/browser

docs: .venv/docs
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv demo-store quickstart-output site

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v <= (3, 15) or sys.exit(f"Python 3.10 to 3.15 is needed, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

.venv/demo .venv/test .venv/docs: .venv/%: .venv/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@
