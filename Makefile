# make demo, make test and make ui each do all their set-up by themselves, in .venv.
.PHONY: demo test end-to-end servers ui stack stack-down audit lock
PYTHON ?= python3.11
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1
export PYTHONWARNINGS ?= ignore
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := false
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
		{ echo "make: $(PYTHON) is not Python 3.11: install it, or name it with make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ echo "make: no venv module: apt-get install python3.11-venv"; rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
# librosa compiles when first imported; two processes that do so at once leave what crashes every later one (numba 10128)
	$(BIN)/python -c 'import librosa.core.pitch'
	@touch $@

data: .venv/installed data.dvc
	$(BIN)/dvc pull --quiet data.dvc
	@touch data

demo: .venv/installed        ## from recordings to a gated model that stands in the registry as staging
	@$(BIN)/python -m pipelines.demo

test: .venv/installed        ## everything that CI runs
	@test -d data || $(BIN)/dvc pull --quiet data.dvc
	@$(BIN)/ruff check .
	@$(BIN)/python -m pytest -q --ignore=tests/end_to_end --ignore=tests/stack -n auto --dist loadfile --max-worker-restart=0
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line end-to-end servers

end-to-end: .venv/installed  ## the whole pipeline in copies of the project
	@$(BIN)/python -m pytest -q tests/end_to_end

servers: .venv/installed     ## everything that needs the team's servers: most of its time is waiting
	@$(BIN)/python -m pytest -q tests/stack

ui: .venv/installed          ## the MLflow page, on loopback
	@$(BIN)/python -m ser_ops.cli ui

stack: .venv/installed       ## all of infra/compose.yaml on loopback, with random passwords in infra/.env
	@$(BIN)/python -m infra.stack up

stack-down: .venv/installed
	@$(BIN)/python -m infra.stack down

audit: .venv/installed       ## known vulnerabilities of the pinned packages
	@$(BIN)/pip-audit --requirement requirements.lock --no-deps --disable-pip --progress-spinner off

lock:                        ## pin what is installed now
	@{ echo "# Every package of the project, pinned. Remade by: make lock"; \
	   $(BIN)/pip list --format=freeze --exclude-editable | grep -viE '^(pip|ser-ops|wheel)=' | sed 's/+cpu$$//'; } > requirements.lock
