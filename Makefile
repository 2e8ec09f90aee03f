# A name is a verb - demo, test, bench, build or setup - and what it is about; a longer form of a test has a word more.
#
# Use
#   make demo                a throw-away VM, provisioned by playbooks/site.yml
#   make demo-clean          remove it, with all images and environments
#
# Test
#   make test                all of this group, in this order
#   make test-lint           yamllint, ruff, ansible-lint
#   make test-workflows      lint of the workflows
#   make test-unit           the unit tests, on this Python and on the oldest and newest that hosts may have
#   make test-browser        the page of playbooks/status.yml in Debian's Chromium, at 3 and at 1,000 hosts (under a minute)
#   make test-collection     the collection, installed into an empty place
#   make test-runners        site.yml under ansible-runner and ansible-pull, on a stub host; an execution environment
#   make test-molecule       the main job on Debian 12, and with Docker 26 on Debian 13
#   make test-guests         the shorter tests on guests
#
# Test more
#   make test-unit-long      the unit tests with 10,000 examples of each property of hostile input, others in each run
#   make test-unit-pythons   the unit tests on Python 3.6 to 3.13
#   make test-sanity         ansible-test sanity, galaxy-importer and antsibull-docs on the collection
#   make test-sanity-all     the same on three ansible-cores
#   make test-controllers    the collection with ansible-core 2.16 to 2.21, or CORES=2.16: each provisions a guest (five minutes each)
#   make test-molecule-all   every molecule scenario on every Debian release that it is for (about half an hour)
#   make test-molecule-vagrant  the main job on your own Vagrant: VirtualBox, or VAGRANT_DEFAULT_PROVIDER=libvirt
#   make test-vagrant        the same and `vagrant up` on a guest of the lab, without root (ten minutes)
#   make test-guests-all     all tests on guests (two hours, emulated)
#   make test-crash-sweep    kill, cut the power, fail every command of a fresh run (about an hour)
#   make test-switch-sweep   the same while Docker changes its storage (an hour and a half)
#   make test-setup          what each target needs, installed on a bare Debian of its own, or TARGETS=bench (about half an hour)
#   make bench               the cost of a converged fleet, one line per ratio (some minutes); benchmarks/README.md has the long form
#
# Build
#   make build-collection    the collection lvmops.direct_lvm in build/
#   make build-docs          docs/variables.md from the roles' argument specs
#   make build-image         the image of the guests; of another Debian release: make build-image-trixie
#   make build-debs          the packages that upgrade a guest past Docker 24
#
# Set up: the targets above call these
#   make setup-packages      Debian packages that guests and tests need
#   make setup-browser       those of the browser
#   make setup-vagrant       those of Vagrant, with libvirt

SHELL := /bin/bash
BIN := $(CURDIR)/.venv/bin
CACHE := $(or $(DIRECT_LVM_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/direct-lvm)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
LAB := python3 lab/lab.py
LAB_AS_ROOT := $(SUDO) env DIRECT_LVM_CACHE=$(CACHE) $(LAB)
# Errors only: pip also says something about each machine's own configuration.
PIP := $(BIN)/pip install -qq
# molecule finds it by itself in a checkout of git, and only there.
MOLECULE := molecule --base-config .config/molecule/config.yml
NOX := nox --reuse-existing-virtualenvs -f tests/noxfile.py
CORE := 2.19
CORES := 2.16 2.17 2.18 2.19 2.20 2.21
TARGETS :=

export DIRECT_LVM_CACHE := $(CACHE)
export PIP_ROOT_USER_ACTION := ignore
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(BIN):$(PATH)

.PHONY: help demo demo-clean bench
.PHONY: test test-lint test-workflows test-unit test-browser test-collection test-runners test-molecule test-guests
.PHONY: test-unit-long test-unit-pythons test-sanity test-sanity-all test-controllers test-molecule-all test-molecule-vagrant
.PHONY: test-vagrant test-guests-all test-crash-sweep test-switch-sweep test-setup
.PHONY: build-collection build-docs build-image build-debs setup-packages setup-browser setup-vagrant

help:
	@sed '/^$$/q; s/^# \?//' Makefile

# Use

demo: .venv/done build-image
	@sh lab/demo.sh

demo-clean:
	$(LAB) clean
	rm -rf .venv .nox build

# Test

test: test-lint test-workflows test-unit test-browser test-collection test-runners test-molecule test-guests

test-lint: .venv/done
	@echo "== lint"
	yamllint .
	ruff check .
	ruff format --check --quiet .
	ansible-lint --offline -q

test-workflows: .venv/done
	@echo "== lint of the workflows"
	$(NOX) -s workflows

test-unit: .venv/done .venv/bin/promtool
	@echo "== unit tests, on this Python and on the oldest and newest that hosts may have"
	pytest -q tests/unit
	$(NOX) --no-error-on-missing-interpreters

test-browser: .venv/done setup-browser
	@echo "== the status page in a browser"
	pytest -q tests/browser

test-collection: .venv/done build-collection
	@echo "== the collection, installed into an empty place"
	pytest -q tests/collection
	$(NOX) -s sanity-$(CORE) -- --test validate-modules

# A stub host is a mount namespace: it needs root.
test-runners: .venv/done
	@echo "== site.yml under ansible-runner and ansible-pull, on a stub host"
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 $(BIN)/python3 -m pytest -q -p no:cacheprovider tests/runners

test-molecule: .venv/done build-image build-image-trixie
	@echo "== molecule: the main job on a guest"
	DIRECT_LVM_OWNER=$$$$ $(MOLECULE) test
	@echo "== molecule: Docker 25 and newer on a guest"
	DIRECT_LVM_OWNER=$$$$ $(MOLECULE) test --scenario-name docker-devmapper --platform-name molecule-trixie

test-guests: .venv/done build-image
	@echo "== tests on guests, two at a time: refusals, the pool, containers that come along, the sweeps' short forms"
	pytest -v --numprocesses 2 --dist loadfile tests/guest/test_refusals.py tests/guest/test_pool.py tests/guest/test_sweeps.py tests/guest/test_live_switch.py::test_images_and_containers_come_along

# Test more

test-unit-long: .venv/done
	pytest -q --hypothesis-profile=long tests/unit

test-unit-pythons: .venv/done
	$(NOX) -s unit

test-sanity: .venv/done build-collection
	$(NOX) -s galaxy sanity-$(CORE)

test-sanity-all: .venv/done build-collection
	$(NOX) -s galaxy sanity-2.16 sanity-2.19 sanity-2.21

test-controllers: .venv/done build-collection build-image
	python3 tests/controllers.py $(CORES)

test-molecule-all: .venv/done build-image build-image-bullseye build-image-trixie build-image-forky
	python3 tests/matrix.py

test-molecule-vagrant: .venv/vagrant
	$(MOLECULE) test --scenario-name vagrant

test-vagrant: .venv/vagrant setup-vagrant build-image
	@echo "== molecule: the main job on a guest of Vagrant's"
	python3 lab/box.py $(MOLECULE) test --scenario-name vagrant
	@echo "== vagrant up, and what is left when a run is killed"
	pytest -v tests/vagrant

test-guests-all: .venv/done build-image build-image-trixie build-debs
	pytest -v --numprocesses 2 --dist loadfile tests/guest

test-crash-sweep: .venv/done build-image
	python3 sweeps/crash.py --parallel 2

test-switch-sweep: .venv/done build-image
	python3 sweeps/switch.py --parallel 2
	python3 sweeps/switch.py --from containers --parallel 2

test-setup: setup-packages
	@$(SUDO) python3 tests/setup.py $(TARGETS)

bench: .venv/done .venv/peer/done .venv/bin/sshd
	@$(SUDO) $(BIN)/python3 benchmarks/fleet.py --hosts 20 --rounds 3 --peer-rounds 1 --recorded 100 400

# Build

build-collection: .venv/done
	@echo "== collection lvmops.direct_lvm"
	@sh lab/collection.sh

build-docs: .venv/done
	$(BIN)/python3 docs/variables.py

build-image: build-image-bookworm

build-image-%: setup-packages
	@$(LAB_AS_ROOT) build --release $*

build-debs: setup-packages
	@$(LAB_AS_ROOT) debs bookworm trixie docker.io docker-cli containerd

# Set up

setup-packages:
	@sh lab/packages.sh qemu-system-x86 qemu-utils mmdebstrap e2fsprogs lz4 zstd xz-utils cpio openssh-client python3-venv ca-certificates git

setup-browser:
	@sh lab/packages.sh chromium chromium-driver

setup-vagrant:
	@sh lab/packages.sh vagrant vagrant-libvirt libvirt-daemon libvirt-clients

.venv/done: requirements.txt | setup-packages
	@echo "== virtual environment: .venv"
	python3 -m venv .venv
	$(PIP) -r requirements.txt
	touch $@

# Tests that need it are skipped where it is not to be had.
.venv/bin/promtool: | .venv/done
	@echo "== promtool, of Debian's package prometheus"
	-@python3 lab/program.py prometheus .venv/bin usr/bin/promtool

# Newer ones have more than one program.
.venv/bin/sshd: | .venv/done
	@echo "== sshd, of Debian's package openssh-server"
	@python3 lab/program.py openssh-server .venv/bin usr/sbin/sshd 'usr/lib/openssh/sshd-*'

# The peer playbook's collection, of the package index; apart from the virtual environment, so that nothing else finds it.
.venv/peer/done: benchmarks/requirements.txt | .venv/done
	@echo "== community.general for the peer playbook"
	$(PIP) --no-deps --target .venv/peer -r benchmarks/requirements.txt
	touch $@

# The folder of the plug-in's module, where molecule does not look by itself.
.venv/vagrant: tests/requirements-vagrant.txt | .venv/done
	$(PIP) -r $<
	cd .venv && ln -sfn lib/python3*/site-packages/molecule_plugins/vagrant/modules vagrant
	touch -h $@
