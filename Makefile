# Everything needs Python 3.11 to 3.13, make and a package index; nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Made when it is missing, made again when what it is made from is newer.
STAMP := $(VENV)/.made

.PHONY: help demo test lint faults bench bench-peers clean

help:
	@echo "make demo    a corpus is generated, trained on, translated and scored; some minutes"
	@echo "make test    the tests"
	@echo "make lint    style, format and types"
	@echo "make faults  the full matrix of injected faults"
	@echo "make bench   the benchmarks"
	@echo "make bench-peers  other systems, each in a place of its own, for the benchmarks"
	@echo "make clean   remove what these targets made"

$(STAMP): pyproject.toml constraints.txt setup.py $(wildcard lingo_model/native/*)
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "needs Python 3.11 to 3.13; set PYTHON=..."'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/lingo demo

# Not a dependency: one test compares with it, in a process of its own.
TORCHLINGO := .peers/torchlingo
$(TORCHLINGO): | $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $@ torchlingo==0.2.9

# The other systems that benchmarks compare with, each in an environment of its own.
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
