# Two commands matter to a newcomer: `make demo` and `make test`. Each installs what it needs.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
BENCH_ARGS ?=

# Tests start hundreds of processes: what they import is compiled once, not by each of them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test test-long lint form test-fast system-packages bench sim soak search branches mutations survivors fuzz torture clean

install: $(VENV)/.installed
demo: install
	$(BIN)/python -m bilocate.demo

$(VENV)/.installed: pyproject.toml requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found on PATH." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

system-packages:
	@sh tests/install-system-packages.sh

lint: form
	$(BIN)/mypy

form: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# What holds real processes to times runs one after the other, all else side by side: three at a time on two cores, for
# tests of real processes mostly wait. FOREIGN wants others' programs, PURE nothing but a CPU: it runs, with the look at
# types, beside those that are timed, and gives way to them.
LIVE := tests/real tests/load tests/torture
FOREIGN := tests/clients tests/keystone
PURE := tests/domain tests/replication tests/search tests/sim tests/parsers tests/operations
APART := $(BIN)/python -m pytest -n 3 --dist loadfile -m "not timed"
ALONE := $(BIN)/python -m pytest -m timed $(LIVE)
BESIDE := nice -n 19 $(BIN)/python -m pytest $(PURE)

test-fast: $(VENV)/.installed-dev
	$(APART) $(LIVE:%=--ignore=%) $(FOREIGN:%=--ignore=%) $(PYTEST_ARGS)

# Others' programs are downloaded meanwhile.
test: form system-packages
	@mkdir -p build
	$(BIN)/python -m tests.environments & $(APART) $(PURE:%=--ignore=%) $(PYTEST_ARGS)
	(nice -n 19 $(BIN)/mypy && $(BESIDE) $(PYTEST_ARGS)) > build/beside.txt 2>&1 & beside=$$!; \
		$(ALONE) $(PYTEST_ARGS); alone=$$?; wait $$beside; beside=$$?; cat build/beside.txt; exit $$((alone + beside))

# As `test`, with all moments and the full lengths: the load run takes five minutes instead of half a one.
test-long: lint system-packages
	BILOCATE_LONG=1 $(APART) $(PYTEST_ARGS)
	BILOCATE_LONG=1 $(ALONE) $(PYTEST_ARGS)

# One seed of the simulation with its trace: make sim SEED=7 (LESS= is what a soak prints of a smaller one)
SEED ?= 1
LESS ?=
sim: $(VENV)/.installed-dev
	$(BIN)/python -m tests.sim $(SEED) --less "$(LESS)"

# New seeds until one breaks a promise, or the minutes are over: make soak MINUTES=5
# So many, from a first one on, however long it takes: make soak SEEDS=100000 FIRST=1
# Only those with real controllers, whose operators follow plans: make soak WHOLE=1 MINUTES=60
MINUTES ?= 5
SEEDS ?=
FIRST ?=
WHOLE ?=
soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.sim --soak $(if $(SEEDS),--seeds $(SEEDS),--minutes $(MINUTES)) $(if $(FIRST),--first $(FIRST)) $(if $(WHOLE),--whole)

# Every state within bounds, one after the other; the small searches are among the tests.
search: $(VENV)/.installed-dev
	$(BIN)/python -m tests.search

# Which branches of the core and of the verbs a thousand seeds take less than ten times.
branches: $(VENV)/.installed-dev
	$(BIN)/python -m tests.sim 1 --branches

# Each rule broken on purpose in a copy: who notices?
mutations: $(VENV)/.installed-dev
	$(BIN)/python -m tests.replication.mutations

# Mutants of the pure floors, made by a program: who survives? Some minutes.
survivors:
	@PYTHON=$(PYTHON) MODULE=$(MODULE) sh tests/survivors/run.sh

# Bytes drawn to reach new branches of one parser: make fuzz PARSER=nbd MINUTES=5
PARSER ?= frames
fuzz: build/fuzz/.installed
	PYTHONPATH=src:. build/fuzz/bin/python -m tests.parsers.guided $(PARSER) --seconds $$(($(MINUTES) * 60))

build/fuzz/.installed: requirements.txt tests/parsers/guided/requirements.txt
	$(PYTHON) -m venv build/fuzz
	build/fuzz/bin/python -m pip install --quiet $(foreach file,$^,--requirement $(file))
	@touch $@

# The real daemons under kill -9, SIGSTOP and cut links: make torture MINUTES=30; one seed again: make torture MINUTES=0 SEED=17
torture: $(VENV)/.installed-dev system-packages
	$(BIN)/python -m tests.torture --minutes $(MINUTES) $(if $(filter command,$(origin SEED)),--seed $(SEED))

# Against QEMU's mirror, nbdkit and qemu-nbd; about an hour. BENCH_ARGS=--quick takes two minutes.
bench: install
	@sh bench/install-packages.sh
	$(BIN)/python -m bench $(BENCH_ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
