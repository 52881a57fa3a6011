# Each target does its own set-up, once. CONFIG and PORT can be given: make serve CONFIG=configs/demo.yaml PORT=8080
CONFIG ?= configs/demo.yaml
PORT ?=
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup serve test test-gpu bench-gpu lint lock clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $(READY)

serve: $(READY)
	@exec $(BIN)/dit-serve up $(CONFIG) $(if $(PORT),--port $(PORT))

test: $(READY)
	$(BIN)/python -m pytest -m "not gpu"

# Needs an NVIDIA card and a CUDA build of torch; writes docs/gpu-checks.md.
test-gpu: $(READY)
	$(BIN)/python -m tests.gpu

# Needs the same; ARGS are its own: make bench-gpu ARGS="--models flux --steps 28 --trace out/traces"
bench-gpu: $(READY)
	mkdir -p out
	$(BIN)/python -m benchmarks.gpu_tiers --out out/gpu-tiers.json $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Pins what is installed now, after a change of pyproject.toml was tried with `pip install -e .[dev]`.
lock:
	( grep '^#' requirements.lock; \
	  $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' ) > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean:
	rm -rf .venv
