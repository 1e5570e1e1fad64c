# Every target works in a fresh clone: what it needs is made first, and once.

# The caller's Python settings must not reach into .venv.
unexport PIP_REQUIRE_VIRTUALENV PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH VIRTUAL_ENV

BIN := .venv/bin
ARGS ?=
# auto, cpu or gpu; auto takes gpu where nvidia-smi lists one
ENGINE ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup model demo test test-ops lint types imports check lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

setup: ## make .venv with the locked packages (once; GPU machines get the unlocked extras [train,gpu,dev])
	@python3 scripts/setup_environment.py --engine $(ENGINE)

model: setup ## put the small real model into .models (once)
	@$(BIN)/python scripts/fetch_model.py

demo: model ## train, attack, serve and probe with the small model; options in ARGS="..."
	$(BIN)/p2p-guard demo $(ARGS)

test: model ## run the tests but those of test-ops; options in ARGS="..."
	$(BIN)/python -m pytest --ignore=tests/helm --ignore=tests/ops $(ARGS)

test-ops: model ## chart, metrics, rules and dashboard on the real helm, promtool and Prometheus, status page in Chromium (fetched into .tools once)
	$(BIN)/python -m pytest tests/helm --durations=5 $(ARGS)
	$(BIN)/python -m pytest tests/ops --durations=5 $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

check: lint types imports test test-ops ## everything a change must pass: ruff, mypy, import-linter, tests

lock: ## resolve requirements/cpu.lock afresh
	python3.11 scripts/lock_environment.py

clean: ## remove .venv, .models, caches and what runs left behind
	rm -rf .venv .venv.lock .models .tools demo-output runs build dist ./*.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name .git -prune -o -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
