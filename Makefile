# Use
#   make demo                a throw-away VM, provisioned by playbooks/site.yml
#   make demo-clean          remove it, with all images and environments
#
# Test
#   make test                all of this group down to `guest`
#   make lint                yamllint, ruff, ansible-lint
#   make lint-workflows      lint of the workflows
#   make unit                the unit tests, on this Python and on the oldest and newest that hosts may have
#   make test-browser        the page of playbooks/status.yml in Debian's Chromium, at 3 and at 1,000 hosts (under a minute)
#   make test-collection     the collection, installed into an empty place
#   make test-runners        site.yml under ansible-runner and ansible-pull, on a stub host; an execution environment
#   make molecule            the main job on Debian 12, and with Docker 26 on Debian 13
#   make guest               the shorter tests on guests
#
# Test more
#   make test-guests         all tests on guests (two hours, emulated)
#   make test-matrix         every molecule scenario on every Debian release that it is for (about half an hour)
#   make test-long           the unit tests with 10,000 examples of each property of hostile input, others in each run
#   make test-pythons        the unit tests on Python 3.6 to 3.13
#   make test-controllers    the collection with ansible-core 2.16 to 2.21, or CORES=2.16: each provisions a guest (five minutes each)
#   make molecule-vagrant    the main job on your own Vagrant: VirtualBox, or VAGRANT_DEFAULT_PROVIDER=libvirt
#   make test-vagrant        the same and `vagrant up` on a guest of the lab, without root (ten minutes)
#   make crash-sweep         kill, cut the power, fail every command of a fresh run (about an hour)
#   make switch-sweep        the same while Docker changes its storage (an hour and a half)
#   make bench               the cost of a converged fleet, one line per ratio (some minutes); benchmarks/README.md has the long form
#
# Build
#   make collection          the collection lvmops.direct_lvm in build/
#   make sanity              ansible-test sanity, galaxy-importer and antsibull-docs on it
#   make sanity-matrix       the same on three ansible-cores
#   make docs                docs/variables.md from the roles' argument specs
#   make packages            Debian packages that the guests need
#   make image               the image of the guests

SHELL := /bin/bash
BIN := $(CURDIR)/.venv/bin
CACHE := $(or $(DIRECT_LVM_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/direct-lvm)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
LAB := python3 lab/lab.py
# molecule finds it by itself in a checkout of git, and only there.
MOLECULE := molecule --base-config .config/molecule/config.yml
PACKAGES := qemu-system-x86 qemu-utils mmdebstrap e2fsprogs lz4 zstd xz-utils cpio openssh-client python3-venv ca-certificates
MISSING = $(shell for p in $(PACKAGES); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done)
# Where a collection lies is its name: ansible-test insists on it.
COLLECTION := build/ansible_collections/lvmops/direct_lvm
NOX := nox --reuse-existing-virtualenvs -f tests/noxfile.py
CORE := 2.19
CORES := 2.16 2.17 2.18 2.19 2.20 2.21
DEMO_DISK := /dev/disk/by-id/virtio-data0
# Other Pythons that a version manager keeps are found by nox at the end of PATH.
PYTHONS := $(subst $(eval) ,:,$(wildcard $(HOME)/.pyenv/versions/*/bin))

export DIRECT_LVM_CACHE := $(CACHE)
# pip says something about each machine that it runs on as root.
export PIP_ROOT_USER_ACTION := ignore
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(BIN):$(PATH):$(PYTHONS)

.PHONY: help packages image demo demo-clean test lint unit guest test-guests test-matrix molecule crash-sweep switch-sweep
.PHONY: lint-workflows test-pythons collection test-collection sanity sanity-matrix
.PHONY: test-controllers test-browser docs molecule-vagrant test-vagrant
.PHONY: test-runners test-long bench

help:
	@sed '/^$$/q; s/^# \?//' Makefile

packages:
	@if [ -n "$(MISSING)" ]; then echo "== Debian packages: $(MISSING)"; \
	  $(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(MISSING); fi

.venv/done: requirements.txt | packages
	@echo "== virtual environment: .venv"
	python3 -m venv .venv
	$(BIN)/pip install -qq -r requirements.txt
	touch $@

# Of Debian's package prometheus without its server, which would start. Tests that need it are skipped where it is not to be had.
$(BIN)/promtool: | .venv/done
	@echo "== promtool, of Debian's package prometheus"
	-@cd $$(mktemp -d) && { apt-get download -q -o APT::Sandbox::User=root prometheus || { $(SUDO) apt-get update -q && \
	  apt-get download -q -o APT::Sandbox::User=root prometheus; }; } && \
	  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x -C $(BIN) --strip-components=3 ./usr/bin/promtool && rm -r "$$PWD"

image: packages
	@$(SUDO) env DIRECT_LVM_CACHE=$(CACHE) $(LAB) build

demo: .venv/done image
	@echo "== guest demo: Debian 12, Docker as the package starts it, one blank disk of 30 GiB"
	@$(LAB) up demo
	@$(LAB) inventory demo > .venv/demo.yml
	@echo "== playbooks/site.yml on it"
	ansible-playbook -i .venv/demo.yml playbooks/site.yml -e '{"thin_pool_devices": ["$(DEMO_DISK)"]}'
	@echo "== docker info" && $(LAB) ssh demo -- "docker info 2>/dev/null | sed -n '/Storage Driver/,/Library Version/p'"
	@echo "== lvs" && $(LAB) ssh demo -- lvs -a -o+seg_monitor
	@echo "== lsblk" && $(LAB) ssh demo -- lsblk
	@echo "Look around: $(LAB) ssh demo        Remove everything: make demo-clean"

demo-clean:
	$(LAB) clean
	rm -rf .venv .nox build

test: lint lint-workflows unit test-browser test-collection test-runners molecule guest

lint: .venv/done
	@echo "== lint"
	yamllint .
	ruff check .
	ruff format --check --quiet .
	ansible-lint --offline -q

lint-workflows: .venv/done
	@echo "== lint of the workflows"
	$(NOX) -s workflows

unit: .venv/done $(BIN)/promtool
	@echo "== unit tests, on this Python and on the oldest and newest that hosts may have"
	pytest -q tests/unit
	$(NOX) --no-error-on-missing-interpreters

test-long: .venv/done
	pytest -q --hypothesis-profile=long tests/unit

test-pythons: .venv/done
	$(NOX) -s unit

docs: .venv/done
	$(BIN)/python3 docs/variables.py

# A collection's plugins lie elsewhere, and its roles name what they call in full: linters find it everywhere then.
collection: .venv/done
	@echo "== collection lvmops.direct_lvm"
	rm -rf build && mkdir -p $(COLLECTION)
	tar -c --exclude __pycache__ --transform 's,^library,plugins/modules,;s,^module_utils,plugins/module_utils,' \
	  galaxy.yml *.md LICENSE changelogs docs/*.md library meta module_utils playbooks roles templates tests/config.yml | tar -x -C $(COLLECTION)
	sed -i -E 's/^( +)(direct_lvm\w*:)$$/\1lvmops.direct_lvm.\2/; s/^    name: (\w+)$$/    name: lvmops.direct_lvm.\1/' $(COLLECTION)/roles/*/tasks/*.yml
	cd $(COLLECTION) && antsibull-changelog release --update-existing
	ansible-galaxy collection build --force --output-path build $(COLLECTION)

test-collection: collection
	@echo "== the collection, installed into an empty place"
	pytest -q tests/collection
	$(NOX) -s sanity-$(CORE) -- --test validate-modules

sanity: collection
	$(NOX) -s galaxy sanity-$(CORE)

sanity-matrix: collection
	$(NOX) -s galaxy sanity-2.16 sanity-2.19 sanity-2.21

test-controllers: collection image
	$(LAB) up controllers --owner $$$$; $(LAB) snapshot controllers blank && $(NOX) -s $(CORES:%=controllers-%); \
	  rc=$$?; $(LAB) down controllers; exit $$rc

test-browser: .venv/done
	@$(MAKE) --no-print-directory packages PACKAGES="chromium chromium-driver"
	@echo "== the status page in a browser"
	pytest -q tests/browser

# The folder of the plug-in's module, where molecule does not look by itself.
.venv/vagrant: tests/requirements-vagrant.txt | .venv/done
	$(BIN)/pip install --quiet -r $<
	ln -sfn $$($(BIN)/python -c 'import molecule_plugins.vagrant as plugin; print(*plugin.__path__)')/modules $@
	touch -h $@

molecule-vagrant: .venv/vagrant
	$(MOLECULE) test --scenario-name vagrant

test-vagrant: .venv/vagrant image
	@$(MAKE) --no-print-directory packages PACKAGES="vagrant vagrant-libvirt libvirt-daemon libvirt-clients"
	@echo "== molecule: the main job on a guest of Vagrant's"
	python3 lab/box.py $(MOLECULE) test --scenario-name vagrant
	@echo "== vagrant up, and what is left when a run is killed"
	pytest -v tests/vagrant

molecule: .venv/done image
	@echo "== molecule: the main job on a guest"
	DIRECT_LVM_OWNER=$$$$ $(MOLECULE) test
	@echo "== molecule: Docker 25 and newer on a guest"
	$(SUDO) env DIRECT_LVM_CACHE=$(CACHE) $(LAB) build --release trixie
	DIRECT_LVM_OWNER=$$$$ $(MOLECULE) test --scenario-name docker-devmapper --platform-name molecule-trixie

test-matrix: .venv/done image
	for release in bullseye trixie forky; do $(SUDO) env DIRECT_LVM_CACHE=$(CACHE) $(LAB) build --release $$release || exit; done
	python3 tests/matrix.py

guest: .venv/done image
	@echo "== tests on guests, two at a time: refusals, the pool, the sweeps' short forms"
	pytest -v --numprocesses 2 --dist loadfile tests/guest/test_refusals.py tests/guest/test_pool.py tests/guest/test_sweeps.py

test-guests: .venv/done image
	$(SUDO) env DIRECT_LVM_CACHE=$(CACHE) $(LAB) build --release trixie
	$(SUDO) env DIRECT_LVM_CACHE=$(CACHE) $(LAB) debs bookworm trixie docker.io docker-cli containerd
	pytest -v --numprocesses 2 --dist loadfile tests/guest

crash-sweep switch-sweep: .venv/done image
	python3 sweeps/$(@:-sweep=).py --parallel 2

# The peer playbook's collection, of the package index; apart from the virtual environment, so that nothing else finds it.
.venv/peer/done: benchmarks/requirements.txt | .venv/done
	@echo "== community.general for the peer playbook"
	$(BIN)/pip install --quiet --no-deps --target .venv/peer -r benchmarks/requirements.txt
	touch $@

# A stub host is a mount namespace: it needs root.
test-runners: .venv/done
	@echo "== site.yml under ansible-runner and ansible-pull, on a stub host"
	@$(SUDO) env PYTHONDONTWRITEBYTECODE=1 $(BIN)/python3 -m pytest -q -p no:cacheprovider tests/runners

bench: .venv/done .venv/peer/done
	@$(SUDO) $(BIN)/python3 benchmarks/fleet.py --hosts 20 --rounds 3 --peer-rounds 1 --recorded 100 400

