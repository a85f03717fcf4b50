# What a developer needs: demo, test, check, bench. Each sets up what it needs by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BROWSER := tests/interop/browser
PYRIGHT := tests/compat/typed
# Most tests wait for a server most of the time: one worker more than there are cores, each with servers of its own.
WORKERS = $(shell $(PYTHON) -c 'import os; print(min(4, (os.cpu_count() or 1) + 1))')
PYTEST_WORKERS = -n $(WORKERS) --dist worksteal

.PHONY: help demo test browser pyright check format bench bench-agents compat interop matrix media-matrix soak fuzz transcripts \
	official-tests lock wheel clean

help:
	@echo "make demo    two participants exchange text, a tone and a picture through the dev server"
	@echo "make test    all tests (what is missing on this machine is skipped and said)"
	@echo "make check   lint, format, types"
	@echo "make bench   ours, the official SDK and bare wrtc, side by side"
	@echo "make bench-agents  the same voice agent on ours and on the official SDK (minutes)"
	@echo "make compat  all tests of other people's programs on ours, and beside them on the official SDK (half an hour)"
	@echo "make interop the three clients with each other, up to 50 MB (INTEROP_ARGS=\"--heavy\" for what takes long alone)"
	@echo "make transcripts  compare the signalling of the real and of the dev server"
	@echo "make matrix  faults of every kind at every moment, in pairs (an hour; MATRIX_ARGS=\"--shard 1/2\")"
	@echo "make media-matrix  every behaviour of media between every two clients (an hour; MEDIA_MATRIX_ARGS=\"--shard 1/2\")"
	@echo "make soak    the dev server's long runs (minutes each; SOAK_ARGS=\"--quick\" to see that they work)"
	@echo "make fuzz    an hour of mangled packets (FUZZ_ARGS=\"--seconds 60\"); installs atheris"
	@echo "make official-tests CHECKOUT=...  the official SDK's own tests on this package (three minutes each)"
	@echo "make lock    resolve the dependencies anew into requirements.lock"
	@echo "make wheel   build the wheel and the source archive into dist/"

$(READY): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)
	$(BIN)/aiolivekit demo

test: $(READY) browser pyright
	$(BIN)/python -m pytest $(PYTEST_WORKERS) $(PYTEST_ARGS)

# What drives livekit-client in Chromium; without npm the tests with a browser are skipped, and say so.
browser:
	@if command -v npm >/dev/null && [ ! -d $(BROWSER)/node_modules/livekit-client ]; then \
		npm ci --prefix $(BROWSER) --no-audit --no-fund --loglevel=error; fi

# A type checker; without npm its test is skipped, and says so.
pyright:
	@if command -v npm >/dev/null && [ ! -d $(PYRIGHT)/node_modules/pyright ]; then \
		npm ci --prefix $(PYRIGHT) --no-audit --no-fund --loglevel=error; fi

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m bench $(BENCH_ARGS)

bench-agents: $(READY)
	$(BIN)/python -m bench.agents --record $(BENCH_ARGS)

# In every run of the tests there are two of them.
compat: $(READY) browser
	AIOLIVEKIT_COMPAT=all $(BIN)/python -m pytest tests/compat/programs $(PYTEST_ARGS)

interop: $(READY) browser
	$(BIN)/python -m tests.interop --record $(INTEROP_ARGS)

matrix: $(READY)
	$(BIN)/python -m tests.matrix --record $(MATRIX_ARGS)

media-matrix: $(READY) browser
	$(BIN)/python -m tests.media_matrix --record $(MEDIA_MATRIX_ARGS)

soak: $(READY)
	$(BIN)/python -m tests.soak $(SOAK_ARGS)

fuzz: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "atheris>=3,<4"
	$(BIN)/python -m tests.fuzz $(FUZZ_ARGS)

transcripts: $(READY)
	$(BIN)/python -m transcripts --output docs/results $(TRANSCRIPTS_ARGS)

# The official SDK's own tests, from a checkout of livekit/python-sdks; nothing is fetched.
official-tests: $(READY)
	$(BIN)/python -m tests.compat.official_tests --record $(CHECKOUT)

# No index address is recorded: pins and hashes alone.
lock: $(READY)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade \
		--all-extras --group dev --group peers pyproject.toml -o requirements.lock
	for name in agents pipecat; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade \
			--extra resample --extra apm pyproject.toml tests/compat/programs/$$name.in \
			-o tests/compat/programs/$$name.lock || exit; done

wheel: $(READY)
	$(BIN)/python -m build --no-isolation

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis demo-output
