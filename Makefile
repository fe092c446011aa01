# Two commands: `make demo` (from nothing to verdicts on an MQTT topic) and `make test`.
# Everything else serves those who work on edge-inspect.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# The order of tests is another one in each run; under CI always the same, so that nothing is refused
# by chance. `make test ORDER=--randomly-seed=7` repeats one.
ORDER  ?= $(if $(CI),--randomly-seed=1)
# Worker processes of pytest. Tests that share a costly thing (TensorFlow) stay in one worker.
JOBS   ?= $(shell nproc)
PYTEST := $(BIN)/python -m pytest $(ORDER)
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
INSTALLED := $(VENV)/installed

.PHONY: check test-campaigns install upgrade rollback uninstall deb test-box test-box-qemu demo test test-capture test-capture-qemu test-powercut test-monitoring lossfinder test-node lint instructions fresh mosquitto chromium valgrind test-tflite-runtime constraints clean help
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 22

demo: $(INSTALLED)-demo ## train, convert, run: verdicts for real pictures, a few minutes after the downloads
	@$(BIN)/python -m scripts.demo

check: $(INSTALLED)-check ## under a minute, without TensorFlow: linters, types of changed files, fast tests
	@BIN=$(BIN) JOBS=$(JOBS) sh scripts/check.sh

test: $(INSTALLED)-test mosquitto valgrind chromium ## install what the tests need (mosquitto, valgrind, chromium), run them all
	$(PYTEST) -n $(JOBS) --dist loadgroup -m 'not serial and not campaign'
	$(PYTEST) -m 'serial and not campaign'
	@$(MAKE) --no-print-directory test-tflite-runtime

test-tflite-runtime: ## the inference tests once more, under the older runtime
	@PYTHON=$(PYTHON) VENV=$(VENV)-tflite-runtime sh scripts/test_tflite_runtime.sh

test-capture: $(INSTALLED)-test ## every camera source x every fault, against real camera servers (installs GStreamer and ffmpeg)
	@[ -e /usr/lib/python3/dist-packages/gi ] && command -v ffmpeg >/dev/null && \
	  ls /usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib >/dev/null 2>&1 || { \
	  echo "Installing camera servers for the tests"; \
	  $(SUDO) apt-get update -q && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
	    ffmpeg python3-gi gir1.2-gst-plugins-base-1.0 gir1.2-gst-rtsp-server-1.0 \
	    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly; }
	$(BIN)/python -m tests.cameras.table
	$(BIN)/python -m tests.campaigns.camera_faults --count 1000
	$(BIN)/python -m tests.campaigns.hung_camera
	$(SUDO) sh scripts/vivid.sh || [ $$? = 2 ]

test-capture-qemu: ## only v4l2 x every fault with a kernel driver, in an emulated machine (Debian amd64, root)
	$(SUDO) sh scripts/vivid.sh

test-powercut: $(INSTALLED)-test mosquitto ## an emulated box loses its power 20 times in mid-write; BOX=1: an installed one (Debian amd64, root)
	$(SUDO) env PYTHON=$(abspath $(BIN))/python sh scripts/powercut.sh $(if $(BOX),--installed)

test-monitoring: $(INSTALLED)-test mosquitto ## Debian's Prometheus scrapes the daemon, and the alerts of docs/monitoring fire
	@command -v promtool >/dev/null || { \
	  $(SUDO) apt-get update -q && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends prometheus; }
	$(BIN)/python -m pytest tests/system/prometheus_scrapes.py

install: ## put edge-inspect on this box as a service (as root): docs/install.md
	@PYTHON=$(PYTHON) sh scripts/install.sh install

upgrade: ## the same where it is installed: the version before stays, to go back to
	@PYTHON=$(PYTHON) sh scripts/install.sh upgrade

rollback: ## back to the version before
	@sh scripts/install.sh rollback

uninstall: ## take the service away; PURGE=1: its configuration and data too
	@PURGE=$(PURGE) sh scripts/install.sh uninstall

deb: ## a Debian package that needs no network to install: make deb ARCH=arm64
	@PYTHON=$(PYTHON) sh scripts/deb.sh $(ARCH)

test-box: ## the service in a new Debian that boots systemd (as root): make test-box SUITE=bookworm
	$(PYTHON) -m tests.box $(or $(SUITE),bookworm)

test-box-qemu: ## the same as a whole emulated machine with a virtual camera (as root): make test-box-qemu ARCH=arm64
	$(PYTHON) -m tests.box.emulated $(ARCH)

test-campaigns: $(INSTALLED)-test mosquitto ## what tries the whole system under chance, a short form of each; ONLY=triggered_parts runs one
	$(if $(ONLY),,$(PYTEST) -m campaign)
	$(BIN)/python -m tests.campaigns $(if $(ONLY),--only $(ONLY))

ROUNDS ?= 1000
LEVEL  ?= strict
lossfinder: $(INSTALLED)-test mosquitto ## a random schedule of faults: is a verdict lost? ROUNDS=1000 SEED=1 LEVEL=strict|balanced
	$(BIN)/python -m tests.loss --rounds $(ROUNDS) --level $(LEVEL) $(if $(SEED),--seed $(SEED))

test-node: $(INSTALLED)-test mosquitto ## an independent client (npm mqtt) reads every topic, MQTT 3.1.1 and 5 x TCP, TLS, WebSockets
	@command -v node >/dev/null && command -v npm >/dev/null || { \
	  echo "Installing node and npm for the independent client"; \
	  $(SUDO) apt-get update -q && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends nodejs npm; }
	cd tests/node && npm install --no-package-lock --no-audit --no-fund --loglevel=error
	$(BIN)/python -m tests.node.table

lint: $(INSTALLED)-check ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

instructions: $(INSTALLED)-test mosquitto valgrind ## instructions a frame outside decode, resize and invoke; fails when they grew by a tenth (ACCEPT=1: track what is measured now)
	$(BIN)/python -m benchmarks.instructions $(if $(ACCEPT),--accept)

fresh: ## both commands in a new Debian root (needs root and debootstrap): make fresh SUITE=bookworm
	sh scripts/fresh.sh $(or $(SUITE),bookworm)

mosquitto:
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || { \
	  echo "Installing mosquitto, a broker for the tests"; \
	  $(SUDO) apt-get update -q && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends mosquitto; }

valgrind:
	@command -v valgrind >/dev/null || { \
	  echo "Installing valgrind, which counts instructions"; \
	  $(SUDO) apt-get update -q && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends valgrind; }

chromium:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "Installing chromium, in which the tests open the training report"; \
	  $(SUDO) apt-get update -q && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium; }

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "edge-inspect needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python cannot make a virtual environment. Try: $(SUDO) apt-get install python3-venv"; exit 2; }

$(INSTALLED)-demo: $(VENV)/bin/python setup.cfg constraints.txt
	@echo "Installing edge-inspect with the trainer into $(VENV) (a few minutes, about 2 GB)"
	@$(PIP) -e '.[demo]'
	@touch $@

$(INSTALLED)-check: $(VENV)/bin/python setup.cfg constraints.txt
	@echo "Installing edge-inspect with test tools, without TensorFlow, into $(VENV) (a minute)"
	@$(PIP) -e '.[test]'
	@touch $@

$(INSTALLED)-test: $(VENV)/bin/python setup.cfg constraints.txt
	@echo "Installing edge-inspect with trainer and test tools into $(VENV) (a few minutes, about 2 GB)"
	@$(PIP) -e '.[test,demo]'
	@$(PIP) --no-deps "tf_keras==$$(sed -n 's/^tensorflow[a-z_-]*==\([0-9]*\.[0-9]*\)\..*/\1.*/p' constraints.txt | head -1)"
	@touch $@

constraints: ## pin the newest versions of everything into constraints.txt
	sh scripts/pin_constraints.sh $(PYTHON)

clean: ## forget the virtual environments and what the demo made
	rm -rf $(VENV) $(VENV)-tflite-runtime demo build *.egg-info
