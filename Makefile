PYTHON ?= python3
BIN := .venv/bin
FLAGS := experiments/flagfiles/quickstart.flags

.PHONY: quickstart demo-board board-screenshots test test-slow sanitize docs format clean

quickstart: .venv/installed
	$(BIN)/python -m experiments.run --flagfile=$(FLAGS)

# Trains three short runs with attacks, and opens TensorBoard's plugin on them.
demo-board: .venv/installed
	$(BIN)/python -m tools.demo_board

# The pictures of the plugin in docs/images, from the same runs; needs the program chromium.
board-screenshots: .venv/installed-test
	$(BIN)/python -m tools.demo_board --train_only
	$(BIN)/python -m tools.board_screenshots

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest

test-slow: .venv/installed-test
	$(BIN)/python -m pytest -m slow -n 0

# The kernels of sparse compute under AddressSanitizer and UndefinedBehaviorSanitizer.
sanitize:
	mkdir -p build
	g++ -std=c++17 -O1 -g -march=native -fsanitize=address,undefined -fno-sanitize-recover=all \
	    -Wall -Wextra -Irobust_sparse_tf/compute/kernels tools/sanitize_kernels.cc -o build/sanitize_kernels
	build/sanitize_kernels

docs: .venv/installed-docs
	$(BIN)/python -m mkdocs build --strict

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: setup.cfg tools/constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint tools/constraints.txt --editable '.[experiments]'
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint tools/constraints.txt --editable '.[test]'
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint tools/constraints.txt --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
