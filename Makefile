# Every target makes the virtual environment it needs. `site`, `serve` and `check` use a light one without torch.
PYTHON ?= python3
LIGHT := .venv-site
FULL := .venv
LOCK := requirements.lock
.DEFAULT_GOAL := help
.PHONY: help site serve zensical check test fuzz verify bench lock licences clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

site: $(LIGHT)/ready ## Build the site into public/
	$(LIGHT)/bin/python site/build.py --strict
	@echo "Open public/index.html in a browser (it works without a server), or run: make serve"

serve: $(LIGHT)/ready ## Serve the site at http://127.0.0.1:8000 and keep it up to date while records are edited
	$(LIGHT)/bin/python site/serve.py

zensical: $(FULL)/ready ## Try Zensical on the generated Markdown and report what differs; blocks nothing
	$(FULL)/bin/pip install --quiet --disable-pip-version-check --constraint $(LOCK) --editable '.[zensical]'
	$(FULL)/bin/python site/build.py --docs-only
	-$(FULL)/bin/python site/zensical_check.py

check: $(LIGHT)/ready ## Check the records
	$(LIGHT)/bin/atlas check

test: $(FULL)/ready ## Run the whole test suite
	$(FULL)/bin/python -m pytest -n 2

fuzz: $(FULL)/ready ## Fuzz everything that reads what strangers write (Linux), a minute for each target
	$(FULL)/bin/pip install --quiet --disable-pip-version-check --constraint $(LOCK) --editable '.[fuzz]'
	nice -n 10 $(FULL)/bin/python -m fuzz.run all --seconds 60

verify: $(FULL)/ready ## Run the checks of the claims and record the evidence
	$(FULL)/bin/atlas verify

bench: $(FULL)/ready ## Run the benchmarks
	$(FULL)/bin/python benchmarks/run.py

lock: ## Pin every package afresh
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --editable '.[test]'
	.venv-lock/bin/pip list --format freeze --exclude-editable --exclude pip --exclude setuptools | sed 's/+cpu$$//' > $(LOCK)
	rm -rf .venv-lock

licences: $(FULL)/ready ## List the licences of the locked packages in docs/licences.md
	$(FULL)/bin/python docs/licences.py

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
