# Every target sets up .venv by itself; it is set up again only when pyproject.toml has changed.
PYTHON ?= python3
TORCH ?= torch==2.13.0

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS := $(VENV)/.docs

.PHONY: help demo benchmark benchmark-quick test lint format docs models clean

help:
	@echo "make demo    train on simulated cells, annotate others, evaluate; pictures in demo/"
	@echo "make benchmark-quick  cheap methods on all sets of real data (minutes), and their part of docs/benchmarks.md"
	@echo "make benchmark        every method and protocol (hours, goes on where it was), and the whole page"
	@echo "make test    run the tests"
	@echo "make lint    ruff and mypy"
	@echo "make format  rewrite the sources as ruff wants them"
	@echo "make models  rebuild the models that ship with the package (needs the public data sets)"
	@echo "make docs    build the documentation into site/"
	@echo "make clean   remove what these targets made"
	@echo "PYTHON=python3.12 chooses the interpreter, TORCH=torch==2.13.0 the PyTorch to install."

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# PyTorch first and alone: pip then does not look for another version of it.
$(INSTALLED): pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	@touch $@

$(DOCS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	@touch $@

demo: $(INSTALLED)
	$(BIN)/annatac demo -o demo --overwrite

# Both go on where they were stopped. The data sets are looked for as `annatac datasets list` says.
benchmark-quick: $(INSTALLED)
	$(BIN)/annatac benchmark --suite quick -o benchmark/quick --workers 2
	$(BIN)/python perf/benchmark_docs.py benchmark/quick --name quick

benchmark: $(INSTALLED) benchmark-quick
	$(BIN)/annatac benchmark --suite full -o benchmark/full --workers 2
	$(BIN)/python perf/benchmark_docs.py benchmark/full --name full
	$(BIN)/annatac benchmark --suite protocols -o benchmark/protocols --workers 2
	$(BIN)/python perf/benchmark_docs.py benchmark/protocols --name protocols

# Two workers with one thread each: many threads on small tensors only get in each other's way.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 \
		$(BIN)/python -m pytest -n 2 $(TESTS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS)
	$(BIN)/mkdocs build --strict --quiet

models: $(INSTALLED)
	$(BIN)/python models/human_base.py -o src/annatac/models/human-base
	$(BIN)/python models/human_blood.py -o src/annatac/models/human-blood
	$(BIN)/python perf/human_blood.py
	$(BIN)/python models/human_blood_card.py src/annatac/models/human-blood

clean:
	rm -rf $(VENV) demo site .pytest_cache .mypy_cache .ruff_cache
