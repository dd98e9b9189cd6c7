# make demo, make test and make ui each do all their set-up by themselves, in .venv.
.PHONY: demo test test-fast coverage types tests end-to-end servers ui stack stack-down api graph shell audit pythons lock
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1
export PYTHONWARNINGS ?= ignore
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := false
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true

# The product: what make demo, make ui, ser-ops and workers need.
.venv/installed: requirements.lock pyproject.toml infra/install.sh
	@bash infra/install.sh .venv requirements.lock
	@touch $@

# On top of it: servers, tests, the corpus generator.
.venv/installed-dev: .venv/installed requirements-dev.lock
	@bash infra/install.sh .venv requirements-dev.lock
	@touch $@

data: .venv/installed data.dvc
	$(BIN)/dvc pull --quiet data.dvc
	@touch data

demo: .venv/installed        ## from recordings to a gated model that stands in the registry as staging
	@$(BIN)/python -m pipelines.demo

test: .venv/installed-dev    ## everything that CI runs
	@test -d data || $(BIN)/dvc pull --quiet data.dvc
	@$(BIN)/ruff check .
	@$(MAKE) --no-print-directory --jobs=2 types tests

QUICK := $(addprefix tests/,audio config dataset features infra noise report storage)

test-fast: .venv/installed-dev ## between edits: the rooms that train nothing, without servers and processes of their own
	@test -d data || $(BIN)/dvc pull --quiet data.dvc
	@$(BIN)/ruff check .
	@$(BIN)/python -m pytest -q --no-header -n auto -m "not slow" $(wildcard tests/test_*.py) $(QUICK)

coverage: .venv/installed-dev ## lines that test-fast runs; counting them makes a test a quarter slower
	@test -d data || $(BIN)/dvc pull --quiet data.dvc
	@$(BIN)/python -m pytest -q --no-header -n auto -m "not slow" --cov $(wildcard tests/test_*.py) $(QUICK)

types: .venv/installed-dev
	@$(BIN)/mypy ser_ops pipelines reproduction infra benchmarks

tests: .venv/installed-dev
	@$(BIN)/python -m pytest -q -n auto --max-worker-restart=0

end-to-end: .venv/installed-dev ## the whole pipeline in copies of the project
	@$(BIN)/python -m pytest -q tests/end_to_end

servers: .venv/installed-dev ## everything that needs the team's servers: most of its time is waiting
	@$(BIN)/python -m pytest -q tests/stack

ui: .venv/installed          ## the MLflow page, on loopback
	@$(BIN)/python -m ser_ops.cli ui

stack: .venv/installed-dev   ## all of infra/compose.yaml on loopback, with random passwords in infra/.env
	@$(BIN)/python -m infra.stack up

stack-down: .venv/installed-dev
	@$(BIN)/python -m infra.stack down

api: .venv/installed-dev     ## the API page, docs/api/index.html, from the docstrings
	@$(BIN)/pdoc --docformat google --no-show-source --output-directory docs/api ser_ops '!ser_ops.cli.__main__'

graph: .venv/installed       ## after an edit of imports: the code that each DVC stage names, and the picture of the house
	@$(BIN)/python -m infra.stage_code
	@$(BIN)/python -m infra.house

shell: .venv/installed       ## a shell in which ser-ops, dvc, mlflow and prefect are commands
	@PATH="$(CURDIR)/$(BIN):$$PATH" $${SHELL:-bash}

audit: .venv/installed-dev   ## known vulnerabilities of the pinned packages
	@$(BIN)/pip-audit --requirement requirements.lock --requirement requirements-dev.lock --no-deps --disable-pip \
		--progress-spinner off

pythons: .venv/installed     ## on every supported Python that is here: install in a new folder, then predict
	@$(BIN)/python -m infra.pythons

lock:                        ## pin what is installed now, in both lock files
	@$(BIN)/python -m infra.lock
