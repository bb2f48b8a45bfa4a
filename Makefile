# Every target makes what it needs in .venv; only Python 3.11 or newer and make have to be there.

PYTHON ?= python3
REPO ?= .
# What `make test` and `make bench` pass on: `make test ARGS="tests/scan -k git"`, `make bench ARGS="--corpora requests"`.
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PINNED := pyproject.toml constraints.txt

.PHONY: build test lint bench docs clean

build: $(VENV)/.installed
	$(BIN)/codeintel build "$(REPO)"

test: $(VENV)/.test
	$(BIN)/python -m pytest -n "$$($(BIN)/python -c 'from codeintel.settings import usable_cpus; print(usable_cpus())')" $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff format --check --output-format concise .
	$(BIN)/ruff check .
	$(BIN)/pyrefly check
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .
	$(BIN)/python -c 'import sys; from codeintel.cpg.contracts import contract_faults; sys.exit("\n".join(contract_faults()) or None)'

bench: $(VENV)/.test $(VENV)/.bench
	$(BIN)/python benchmarks/cold.py $(ARGS)
	$(BIN)/python benchmarks/rebuild.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/mutations.py
	$(BIN)/python benchmarks/edits.py
	$(BIN)/python benchmarks/crash.py
	$(BIN)/python benchmarks/tracking.py
	$(BIN)/python benchmarks/recovery.py
	$(BIN)/python benchmarks/def_use.py
	$(BIN)/python benchmarks/def_use_trace.py
	$(BIN)/python benchmarks/callgraph.py
	$(BIN)/python benchmarks/references.py
	$(BIN)/python benchmarks/mro.py
	$(BIN)/python benchmarks/resolution.py
	$(BIN)/python benchmarks/call_trace.py
	$(BIN)/python benchmarks/job_overhead.py
	$(BIN)/python benchmarks/many.py
	$(BIN)/python benchmarks/ray_executor.py
	$(BIN)/python benchmarks/scaling.py --edit

docs: $(VENV)/.test
	$(BIN)/python -c 'from codeintel.settings import settings_markdown; print(end=settings_markdown())' > docs/settings.md
	$(BIN)/python -c 'from codeintel.cpg.contracts import contracts_markdown; print(contracts_markdown())' > docs/tables.md
	$(BIN)/python -m tests.docs.test_pages

clean:
	rm -rf $(VENV) .codeintel .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@command -v "$(PYTHON)" > /dev/null || { echo "no $(PYTHON) here; name one with make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "codeintel needs Python 3.11 or newer, and $(PYTHON) is $$("$(PYTHON)" --version 2>&1);" \
	    "name another with make PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	touch $@

# Editable, so that the tree is what runs; compiled here, so that the first build does not pay for it.
$(VENV)/.installed: $(VENV)/.created $(PINNED)
	$(PIP) install --constraint constraints.txt --editable .
	$(BIN)/python -m compileall -q src
	touch $@

# Dependency groups need pip 25.1.
$(VENV)/.pip: $(VENV)/.created
	$(PIP) install --upgrade 'pip>=25.1'
	touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.bench: $(VENV)/.%: $(VENV)/.pip $(VENV)/.installed $(PINNED)
	$(PIP) install --constraint constraints.txt --group $*
	touch $@
