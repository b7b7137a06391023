# The targets need Python 3.11 to 3.13, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The environment is made again when a file that it depends on is newer.
STAMP := $(VENV)/.made

.PHONY: help demo test lint faults bench bench-peers clean

help:
	@echo "make demo         generate a corpus, train on it, translate and score it; some minutes"
	@echo "make test         run the tests"
	@echo "make lint         check style, format and types"
	@echo "make faults       run all tests with injected faults"
	@echo "make bench        measure the whole pipeline on Multi30k; set CORPUS to its folder"
	@echo "make bench-peers  install the other systems that benchmarks compare with"
	@echo "make clean        remove the output of these targets"

$(STAMP): pyproject.toml constraints.txt setup.py $(wildcard lingo_model/native/*)
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "needs Python 3.11 to 3.13; set PYTHON=..."'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/lingo demo

# Not a dependency. One test and the benchmarks compare with it, in a separate process.
TORCHLINGO := .peers/torchlingo
$(TORCHLINGO): | $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $@ torchlingo==0.2.9

# The other systems that benchmarks compare with. Each has its own environment.
PEERS := opennmt joeynmt marian ctranslate2
PEER_opennmt := OpenNMT-py==3.5.1
PEER_joeynmt := joeynmt==2.3.0
.peers/%/installed: benchmarks/peers/requirements-%.txt
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	$(if $(PEER_$*),$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps $(PEER_$*))
	touch $@

bench-peers: $(TORCHLINGO) $(PEERS:%=.peers/%/installed)

test: $(STAMP) $(TORCHLINGO)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

faults: $(STAMP)
	$(BIN)/pytest tests/faults -m "" -n 2 --dist load

CORPUS ?= ../multi30k
bench: $(STAMP)
	$(BIN)/python benchmarks/end_to_end.py $(CORPUS) --output $$(mktemp -d)/bench

clean:
	rm -rf $(VENV) .peers demo build lingo_model/*.so *.egg-info .pytest_cache .mypy_cache .ruff_cache
