# Every target makes the virtual environment it needs. `site`, `serve` and `check` use a light one without torch.
PYTHON ?= python3
LIGHT := .venv-site
FULL := .venv
LOCK := requirements.lock
.DEFAULT_GOAL := help
.PHONY: help site serve check test verify bench lock clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

site: $(LIGHT)/ready ## Build the site into public/
	$(LIGHT)/bin/python site/build.py --strict
	@echo "Open public/index.html in a browser (it works without a server), or run: make serve"

serve: site ## Build the site and serve it at http://127.0.0.1:8000
	$(LIGHT)/bin/python -m http.server --directory public --bind 127.0.0.1 8000

check: $(LIGHT)/ready ## Check the records
	$(LIGHT)/bin/atlas check

test: $(FULL)/ready ## Run the whole test suite
	$(FULL)/bin/python -m pytest -n 2 --dist loadgroup

verify: $(FULL)/ready ## Run the checks of the claims and record the evidence
	$(FULL)/bin/atlas verify

bench: $(FULL)/ready ## Run the benchmarks
	$(FULL)/bin/python benchmarks/run.py

lock: ## Pin every package afresh
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --editable '.[test]'
	.venv-lock/bin/pip list --format freeze --exclude-editable --exclude pip --exclude setuptools | sed 's/+cpu$$//' > $(LOCK)
	rm -rf .venv-lock

clean: ## Remove everything that was built
	rm -rf $(LIGHT) $(FULL) .venv-lock build public dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(LIGHT)/ready: pyproject.toml $(LOCK)
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(LIGHT)
	$(LIGHT)/bin/pip install --quiet --disable-pip-version-check --constraint $(LOCK) --editable '.[site]'
	touch $@

$(FULL)/ready: pyproject.toml $(LOCK)
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(FULL)
	$(FULL)/bin/pip install --quiet --disable-pip-version-check --constraint $(LOCK) --editable '.[test]'
	touch $@
