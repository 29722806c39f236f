# Ohmloom: `make demo` and `make test` set themselves up on a fresh Debian machine.

VENV   := .venv
PYTHON := $(VENV)/bin/python
STAMP  := $(VENV)/.setup-done
EXTRAS := bench,boards,examples,fast,formal,test,lint
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help setup demo test test-slow prove cover lint format bench clean

help:
	@echo "make setup      .venv with everything, and the Verilog simulator"
	@echo "make demo       the whole path on the handwritten digits"
	@echo "make test       the tests      (make test-slow: the long ones)"
	@echo "make prove      every formal proof, by name"
	@echo "make cover      every state and transition of the gateware, taken in simulation"
	@echo "make lint       style and types (make format: mend the style)"
	@echo "make bench      the benchmarks"
	@echo "make clean      remove what was built, .venv included"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt Makefile
	@need=""; \
	command -v python3 >/dev/null || need="$$need python3"; \
	python3 -c 'import ensurepip, venv' 2>/dev/null || need="$$need python3-venv"; \
	command -v iverilog >/dev/null || need="$$need iverilog"; \
	command -v g++ >/dev/null || need="$$need g++"; \
	if [ -n "$$need" ]; then \
		echo "setup: installing$$need"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $$need >/dev/null; \
	fi
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "setup: Python 3.11 or newer is needed, found $$(python3 -V)" >&2; exit 2; }
	@echo "setup: making $(VENV)"
	@rm -f $@
	@[ -x $(PYTHON) ] && $(PYTHON) -m pip --version >/dev/null 2>&1 \
		|| python3 -m venv --clear $(VENV)
	@echo "setup: installing packages (a few minutes the first time)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -e '.[$(EXTRAS)]'
	@mkdir -p $(VENV)/src && ln -sfn ../.. $(VENV)/src/ohmloom
	@touch $@
	@echo "setup: done"

demo: setup
	$(VENV)/bin/ohmloom demo

test: setup
	$(PYTHON) -m pytest -q -n auto --dist loadfile -m "not slow"

test-slow: setup
	$(PYTHON) -m pytest -q -n auto --dist loadfile -m slow

prove: setup
	$(PYTHON) tests/hw/proofs/report.py

cover: setup
	$(PYTHON) tests/hw/transitions/report.py build/coverage.json

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright

format: setup
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: setup
	$(PYTHON) bench/engine.py
	$(PYTHON) bench/loops.py
	$(PYTHON) bench/devices.py
	$(PYTHON) bench/cosim.py
	$(PYTHON) bench/mvm.py
	$(PYTHON) bench/link.py
	$(PYTHON) bench/boards.py
	$(PYTHON) bench/write_verify.py
	$(PYTHON) bench/onnx_conformance.py
	$(PYTHON) bench/qdq.py
	$(PYTHON) bench/engines.py
	$(PYTHON) bench/peers.py
	$(PYTHON) bench/performance.py

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
