# Shortcuts for people. Everything they call can be typed by hand; `make help` lists them.

.DEFAULT_GOAL := help
ANMOK := cargo run --release --quiet --

.PHONY: help install setup train evaluate start stop restart status logs mlflow-ui test test-mlflow test-fast test-coverage test-full parity bench format lint clean clean-all

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Arguments for anmok: make train ARGS='--recipe cifar10-strong --seed 1'"

install: ## Build the binary and put `anmok` into ~/.cargo/bin
	cargo install --path crates/cli --locked

setup: ## Write .env from .env.example, unless there is one
	@if [ -e .env ]; then echo ".env is there already: left as it is"; else cp .env.example .env && echo "wrote .env: look through it"; fi

train: ## Train with the settings of .env (ARGS=... for more)
	$(ANMOK) train $(ARGS)

evaluate: ## Evaluate the model of a run: make evaluate RUN_ID=...
	@test -n "$(RUN_ID)" || { echo "which run? make evaluate RUN_ID=...   (make train prints it; anmok runs list)"; exit 2; }
	$(ANMOK) evaluate --run-id "$(RUN_ID)" $(ARGS)

start: ## Start the tracking server in the background (ARGS='--port 8080')
	@scripts/server.sh start $(ARGS)

stop: ## Stop it, when what is under way is finished
	@scripts/server.sh stop

restart: ## Stop it and start it again
	@scripts/server.sh restart $(ARGS)

status: ## Say whether it runs, and where it listens
	@scripts/server.sh status

logs: ## Show its log as it grows
	@scripts/server.sh logs

mlflow-ui: ## Start it with the web UI of the mlflow that is installed (pip install mlflow)
	@scripts/server.sh ui $(ARGS)

test: ## Run the tests (PostgreSQL, MLflow (1 GB) and Azurite are installed first where that works, else their tests are skipped by name)
	scripts/postgresql.sh
	@scripts/mlflow-python.sh >/dev/null || echo "without MLflow the tests with it are skipped"
	@scripts/azurite.sh || echo "without Azurite the test with it is skipped"
	cargo test --workspace --no-fail-fast

test-mlflow: ## Compare our server with MLflow's by MLflow's own client, and nothing else
	scripts/postgresql.sh
	scripts/mlflow-python.sh >/dev/null
	cargo test --package anmok-cli --test mlflow -- --nocapture

test-fast: ## Run the unit tests beside the code only
	cargo test --workspace --lib --bins

test-coverage: ## Measure which lines the tests run; fails under 80 %
	scripts/coverage.sh

test-full: ## Run the tests with real PyTorch, MLflow 2 and a browser too (installed on first use: several GB)
	scripts/test-full.sh

parity: ## Make the engine's goldens afresh with real PyTorch and test against them
	scripts/parity.sh

bench: ## Measure Anmok side by side with PyTorch and ONNX Runtime, where there is a Python with them (ARGS=... for less)
	bench/compare-torch $(ARGS)

format: ## Format all Rust code
	cargo fmt --all

lint: ## Check the format, and clippy without a warning
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

clean: ## Remove what was built, and Python's caches
	cargo clean
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: ## Also remove runs, artifacts, checkpoints, logs, downloaded data and test environments (asks first)
	@printf 'This removes anmok.db, artifacts/, checkpoints/, logs/, data/ and .test-env/. Type yes: '; read -r answer; [ "$$answer" = yes ]
	rm -rf anmok.db anmok.db-wal anmok.db-shm artifacts checkpoints logs data .test-env
	$(MAKE) clean
