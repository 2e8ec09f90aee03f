#!/bin/sh
# Build the collection lvmops.direct_lvm in build/: make build-collection
set -eu
place=build/ansible_collections/lvmops/direct_lvm # where a collection lies is its name: ansible-test insists on it
files="galaxy.yml LICENSE changelogs filter_plugins library meta module_utils playbooks roles templates tests/config.yml"
rm -rf build
mkdir -p "$place"
# A collection's plugins lie elsewhere, and its roles name what they call in full: linters find it everywhere then.
tar -c --exclude __pycache__ --transform 's,^filter_plugins,plugins/filter,;s,^library,plugins/modules,;s,^module_utils,plugins/&,' \
  $files *.md docs/*.md |
  tar -x -C "$place"
sed -i -E 's/^( +)(direct_lvm\w*:)$/\1lvmops.direct_lvm.\2/; s/^    name: (\w+)$/    name: lvmops.direct_lvm.\1/' "$place"/roles/*/tasks/*.yml
sed -i -E 's/\| (direct_lvm\w*)\(/| lvmops.direct_lvm.\1(/' "$place"/templates/*.j2
(cd "$place" && antsibull-changelog release --update-existing)
ansible-galaxy collection build --force --output-path build "$place"
