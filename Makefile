# Every target uses the virtual environment .venv, which `make setup` creates. Use another with `make VENV=/path`.
# `make help` lists the targets.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST ?=
# Test processes. Each has one thread for its networks, since two would wait for each other. Some tests wait for servers
# and clocks, so four processes keep two cores busy.
JOBS ?= 4
DEMO ?=

# Extras with the voices that `make demo` installs. VOICES=tts,joe adds the voice of a man, which fits the bundled anchor
# grid-s1. Its engine, Piper, is under the GPL, version 3 or later.
VOICES ?= tts

# PyTorch is installed first, in one exact release. On Linux, pip may choose a build with gigabytes of CUDA packages. For a
# CPU build, use the index from PyTorch's installation page: make setup TORCH_OPTIONS='--index-url ...'
TORCH ?= torch==2.13.0
TORCH_OPTIONS ?=

# The lock fits the Python version and the platform of CI. There, all other packages are installed in its exact versions,
# checked by hash. Elsewhere, or with LOCKED=, the newest matching versions are installed.
LOCKED ?= requirements/ci.txt

# Bytecode is stored: the tests start hundreds of Python processes, and pytest rewrites the assertions of every test file.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup help test check format clean demo base bundled builtin anchor

setup: $(STAMP)  ## create .venv with everything: training, speech synthesis, development tools
	@$(FIND_CHROMIUM) || echo 'Chromium is not installed: the browser tests will be skipped. Install it with: $(GET_CHROMIUM)'

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

# The same search as in tests/browsing.py.
FIND_CHROMIUM = { test -n "$$NEWSCASTER_CHROMIUM" || command -v chromium || command -v chromium-browser || \
	command -v google-chrome || command -v google-chrome-stable; } >/dev/null
GET_CHROMIUM = make system-packages, or apt-get install chromium

# While make installs into an environment that it made, the environment has the file .unfinished. With this file, or without
# a working pip, it is left over from a run that was interrupted, and is made again: pip takes a half-installed package for
# a whole one. pip's cache keeps what was downloaded. An environment that make did not make is never removed.
MADE := $(VENV)/.made-by-make
UNFINISHED := $(VENV)/.unfinished
define BEGIN_INSTALLING
	if test -e $(UNFINISHED) || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		mkdir -p $(VENV) && \
		{ test -e $(MADE) || test -z "$$(ls -A $(VENV))" || \
			{ echo '$(VENV) has no working pip, and make did not make it. Remove it, or name another one: make VENV=...'; exit 2; }; } && \
		touch $(MADE) $(UNFINISHED) && \
		find $(VENV) -mindepth 1 -maxdepth 1 ! -name $(notdir $(MADE)) ! -name $(notdir $(UNFINISHED)) -exec rm -rf {} + && \
		$(PYTHON) -m venv $(VENV); \
	elif test -e $(MADE); then touch $(UNFINISHED); fi
endef

$(STAMP): pyproject.toml $(wildcard requirements/ci.txt $(UNFINISHED))
	$(BEGIN_INSTALLING)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(TORCH_OPTIONS) '$(TORCH)'
	if test -n "$(LOCKED)" && $(BIN)/python tools/lock.py --fits; then \
		$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $(LOCKED) && \
		$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .; \
	else \
		echo 'not locked: the newest versions that fit this Python and machine are installed'; \
		$(BIN)/python -m pip install --quiet -e '.[train,tts,dev,docs]'; \
	fi
	rm -f $(UNFINISHED)
	touch $(STAMP)

# The packages of the base installation and of each extra. Fails if a licence is not accepted.
.PHONY: licences
licences: setup  ## list the licence of every installed package
	$(BIN)/python tools/licences.py

# Known vulnerabilities of dependencies. `make check` uses a checked-in table, without the network. `make audit` queries the
# advisory database for the locked versions and PyTorch. It fails if the database cannot be reached.
.PHONY: audit
audit: setup  ## check the locked versions for known vulnerabilities, online
	test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv --clear build/audit && build/audit/bin/python -m pip install --quiet pip-audit; } \
		|| { echo 'pip-audit cannot be installed: this needs a network. make check compares with requirements/advisories.toml'; exit 2; }
	$(BIN)/python tools/audit.py --online build/audit/bin/pip-audit

# The packages of the last commit, built twice, with a bill of materials and checksums; see tools/build_release.py. TAG=v0.1.0 compares
# the version with a tag.
.PHONY: dist
TAG ?=
dist: setup  ## build the packages of a release into dist, and check that they are reproducible
	$(BIN)/python tools/build_release.py --out dist $(if $(TAG),--tag '$(TAG)')

# Run it after `make setup LOCKED=` and a successful `make check LOCKED=`.
.PHONY: lock
lock:  ## write requirements/ci.txt from the installed versions
	$(BIN)/python tools/lock.py

# The packages for speaking, without PyTorch and development tools. `make setup` includes them.
SPEAKING := $(VENV)/.speaks

$(SPEAKING): pyproject.toml $(wildcard $(UNFINISHED))
	$(BEGIN_INSTALLING)
	test -e $(STAMP) || $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(VOICES)]'
	rm -f $(UNFINISHED)
	touch $(SPEAKING)

demo: $(SPEAKING)  ## make newscaster-demo.mp4: a bundled anchor reads a short bulletin
	$(BIN)/newscaster demo $(DEMO)

test: setup  ## run the tests; PYTEST='-k media -x' passes options
	$(BIN)/python -m pytest $(PYTEST)

# Programs for tests, each in the Debian package of the same name. Root installs missing ones. Other users do so with sudo
# in CI, and a missing one is an error there.
.PHONY: system-packages
SYSTEM_PACKAGES ?= strace chromium
system-packages:  ## install strace and Chromium, on Debian
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

# Tests marked `slow` are whole trainings, real footage, and commands that are killed. They take most of the processor time,
# and `make check` has faster tests of what they test: its coverage is measured without them (`make coverage`).
FAST := not browser and not slow

check: lint docs fast-tests  ## run the checks of every change: lint, types, import contracts, documents, tests
	$(MAKE) browser-tests PYTEST=

.PHONY: check-all
check-all: lint docs all-tests  ## run all checks of CI, slow tests included
	$(MAKE) browser-tests PYTEST=

.PHONY: lint
lint: setup  ## check style, types, import contracts, words and dependencies
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/audit.py
	$(BIN)/python tools/private_words.py --max 0

# Types as they are on other systems. Each has a cache of its own: the first run takes a minute and a half, later ones less.
.PHONY: platforms
platforms: setup  ## check types for Windows and macOS
	for name in win32 darwin; do $(BIN)/mypy --platform $$name --cache-dir .mypy_cache/$$name || exit 1; done

.PHONY: fast-tests slow-tests all-tests
fast-tests: MARKS := $(FAST)
slow-tests: MARKS := slow and not browser
all-tests: MARKS := not browser
fast-tests slow-tests all-tests: setup system-packages  ## run the tests by their mark: see the comments
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m '$(MARKS)' $(PYTEST)

# About 5 s, without the network. The search of the site needs a web server: `python -m http.server -d build/site`.
.PHONY: docs
docs: setup  ## build the documentation site into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# Branch coverage of src, without browser tests and other processes; fails below the limit in pyproject.toml. Coverage makes
# the tests about a fifth slower, so it is no part of `make check`.
.PHONY: coverage
coverage: setup  ## measure branch coverage of src
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m '$(FAST)' \
		--cov --cov-report=term:skip-covered $(PYTEST)

# Tests of the studio's page in Chromium. Without it they are skipped, or fail if CI is set. The line before the last has
# their result. SCREENSHOTS=docs writes images of the page to docs. Tests marked `alone` compare audio with video and run
# first, by themselves; the others run file by file in two processes. pytest ends with 5 if it selects no test.
.PHONY: browser-tests
SCREENSHOTS ?=
BROWSER_JOBS ?= 2
browser-tests: setup  ## run the tests of the studio's page in Chromium
	$(BIN)/python -m pytest -m 'browser and alone' tests/server $(PYTEST) || test $$? = 5
	$(if $(SCREENSHOTS),NEWSCASTER_SCREENSHOTS=$(SCREENSHOTS)) $(BIN)/python -m pytest -n $(BROWSER_JOBS) \
		--dist loadfile -m 'browser and not alone' tests/server $(PYTEST) || test $$? = 5

# The packages in integrations/ and the example of a conversation, in a virtual environment of their own: they bring many
# packages, which the project does not need. No test needs the network.
.PHONY: integrations
INTEGRATIONS := livekit-plugins-newscaster pipecat-newscaster
INTEGRATIONS_VENV ?= build/integrations
integrations:  ## test the packages for LiveKit and Pipecat, in build/integrations
	$(INTEGRATIONS_VENV)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(INTEGRATIONS_VENV)
	$(INTEGRATIONS_VENV)/bin/python -m pip install --quiet -e . \
		$(foreach name,$(INTEGRATIONS),-e './integrations/$(name)[test]')
	$(INTEGRATIONS_VENV)/bin/python -m pip install --quiet pocketsphinx hibari-tts
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(INTEGRATIONS_VENV)/bin/python -m pytest $(PYTEST) tests/test_assistant_example.py
	for name in $(INTEGRATIONS); do \
		(cd integrations/$$name && \
			OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(abspath $(INTEGRATIONS_VENV))/bin/python -m pytest $(PYTEST)) || exit 1; \
	done

# 100 kills take about 40 minutes on two cores; see tools/kill_test.py.
.PHONY: kills
KILLS ?= 100
kills: setup  ## kill commands at random times, and check their files
	$(BIN)/python tools/kill_test.py --work build/kills --kills $(KILLS)

# 20 kills take about 20 minutes on two cores. Needs the network, or pip's cache.
.PHONY: setup-kills
SETUP_KILLS ?= 20
setup-kills:  ## kill `make demo` at random times in a fresh clone, and run it again
	$(PYTHON) tools/setup_kill_test.py --work build/setup-kills --kills $(SETUP_KILLS)

format: setup  ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## remove build results and caches
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Footage of one person and of many; see tools/train_base_motion.py. DEVICES is the number of processes that train; with
# SHARDS, a folder or a URL, the samples are streamed from there: write them with the tool's --write-shards. Trainings with other
# SEEDs use the same landmarks, in build/base.
DATA ?= ../shared/data
DEVICES ?= 1
NODES ?= 1
SHARDS ?=
SEED ?= 0
TOGETHER = --devices $(DEVICES) --nodes $(NODES)
base: setup  ## train the base motion network
	$(BIN)/python tools/train_base_motion.py --work build/base --out build/base/base_motion.safetensors \
		--seed $(SEED) $(TOGETHER) $(if $(SHARDS),--shards $(SHARDS),$(BASE_MOTION_FOOTAGE))
	$(BIN)/python tools/learn_live_motion.py build/base/base_motion.safetensors --work build/base/live-$(SEED) \
		--out src/newscaster/data/base_motion.safetensors $(BASE_MOTION_AUDIO)

BASE_MOTION_AUDIO = --person $(DATA)/grid_s1/clips:$(DATA)/grid_s1/train.txt \
	--people $(DATA)/people/clips $(DATA)/speakers/train:tools/base_people.txt
BASE_MOTION_FOOTAGE = $(BASE_MOTION_AUDIO) --check-person $(DATA)/grid_s1/clips:$(DATA)/grid_s1/test.txt --of-others 0.5 \
	--check-people $(DATA)/speakers/test

# Footage of many people, one in each file; see tools/train_base_renderer.py. It can be stopped, and resumes. About an hour on
# one core. The people of the benchmarks are measured only.
BASE_RENDERER_MINUTES ?= 60
BASE_RENDERER_PEOPLE = $(DATA)/speakers/train $(DATA)/grid_others $(DATA)/grid_s4_hq/clips \
	$(DATA)/hd/anchor_512_25fps_71s.mp4
.PHONY: base-renderer
base-renderer: setup  ## train the base reference renderer
	$(BIN)/python tools/train_base_renderer.py --work build/base-renderer --minutes $(BASE_RENDERER_MINUTES) \
		--out src/newscaster/data/base_renderer.safetensors $(TOGETHER) \
		$(if $(SHARDS),--shards $(SHARDS),--people $(BASE_RENDERER_PEOPLE)) \
		--check $(DATA)/hd/portrait_512_25fps_15s.mp4 $(DATA)/hd/talk_700_30fps_6s.mp4

# The tables of the paper, in docs/benchmarks. About 75 minutes on two cores.
.PHONY: tables
tables: setup  ## benchmark the adversarial pair and its baselines
	$(BIN)/python -m pip install --quiet -r requirements/plots.txt
	$(BIN)/python benchmarks/motion.py --footage $(DATA)/grid_s1/clips:$(DATA)/grid_s1/train.txt \
		--val $(DATA)/grid_s1/clips:$(DATA)/grid_s1/val.txt --test $(DATA)/grid_s1/clips:$(DATA)/grid_s1/test.txt \
		--work build/tables --jobs 2

# Tables and plots in docs/benchmarks. Images that show the footage are written to pictures/, which git ignores. About half
# an hour on two cores.
.PHONY: rendering-tables
rendering-tables: setup  ## benchmark the renderer and its baselines
	$(BIN)/python -m pip install --quiet -r requirements/plots.txt
	$(BIN)/python benchmarks/rendering.py --footage $(DATA)/grid_s1/clips:$(DATA)/grid_s1/train.txt \
		--test $(DATA)/grid_s1/clips:$(DATA)/grid_s1/test.txt --work build/rendering --jobs 2

# Footage: speaker 1 of the GRID corpus. About 75 minutes on two cores. It can be stopped, and resumes from build/bundled.
# benchmarks/stage.py measures the result. `make builtin` is the old name.
bundled: setup  ## make the bundled anchors
	$(BIN)/python tools/make_trained_anchor.py --footage $(DATA)/grid_s1/clips:$(DATA)/grid_s1/train.txt \
		--work build/bundled --out src/newscaster/data/grid-s1.anchor
	$(BIN)/python tools/make_session_anchor.py --footage $(DATA)/grid_s4_hq/clips:$(DATA)/grid_s4_hq/train.txt \
		--work build/grid-s4 --out build/grid-s4/pictures.anchor
	$(BIN)/python tools/renew_motion.py build/grid-s4/pictures.anchor \
		--footage $(DATA)/grid_s4_hq/clips:$(DATA)/grid_s4_hq/train.txt --work build/grid-s4/motion \
		--out src/newscaster/data/grid-s4.anchor

builtin: bundled

FOOTAGE ?=
export CONSENT ?=
NAME ?= my
MINUTES ?= 12
anchor:  ## train an anchor on FOOTAGE, with CONSENT, and make its first video
	@test -n "$(FOOTAGE)" -a -n "$$CONSENT" || { echo 'name the footage: make anchor FOOTAGE=folder CONSENT="who agreed, to what"'; exit 2; }
	@$(MAKE) --no-print-directory setup
	$(BIN)/newscaster train $(FOOTAGE) -o $(NAME).anchor --minutes $(MINUTES) --consent "$$CONSENT"
	$(BIN)/newscaster speak --text "Good evening. This is the news, read by someone who never read it." \
		--anchor $(NAME).anchor -o $(NAME).mp4

# Hostile files from seeds and from the corpus. Prints what was run, and adds findings to tests/fuzz/corpus.
.PHONY: fuzz
FUZZ_MINUTES ?= 60
FUZZ_JOBS ?= 2
FUZZ_SEED ?= 1000000
fuzz: setup  ## fuzz the readers of untrusted files
	PYTHONPATH=src:tests $(BIN)/python -m fuzz --minutes $(FUZZ_MINUTES) --jobs $(FUZZ_JOBS) --seed $(FUZZ_SEED)
