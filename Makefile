# Two commands for a fresh machine: `make demo` and `make test`. Both install what is missing.
PYTHON ?= python3
VENV := .venv
LAB := $(VENV)/bin/lab

.PHONY: demo test fuzz check setup clean

demo: setup
	$(LAB) demo

test: setup
	$(VENV)/bin/pytest -n auto
	$(VENV)/bin/pabot --no-pabotlib --processes 2 --command $(VENV)/bin/robot --end-command \
	    --outputdir build/robot robot/suites

# The long run; docs/fuzzing.md. MINUTES for all targets together.
MINUTES ?= 30
fuzz: setup
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(VENV)/bin/python -m tests.fuzz --minutes $(MINUTES)

# What CI also runs: style, types, and files that are generated and committed.
check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m lab.codegen --check
	$(VENV)/bin/python -m lab.api
	find apps examples firmware lab renode tests zephyr-app -name '*.[ch]' -exec clang-format --dry-run -Werror {} +
	find renode -name '*.cs' -exec uncrustify -q --check -l CS -c renode/uncrustify.cfg {} + >/dev/null

# The stamp is newer than pyproject.toml once everything is installed.
setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml tools/install-packages
	tools/install-packages
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist
