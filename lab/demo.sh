#!/bin/sh
# Provision a throw-away guest, and show what came of it: make demo
set -eu
lab="python3 lab/lab.py"
disk=/dev/disk/by-id/virtio-data0
echo "== guest demo: Debian 12, Docker as the package starts it, one blank disk of 30 GiB"
$lab up demo
$lab inventory demo > .venv/demo.yml
echo "== playbooks/site.yml on it"
ansible-playbook -i .venv/demo.yml playbooks/site.yml -e "{\"thin_pool_devices\": [\"$disk\"]}"
echo "== docker info"
$lab ssh demo -- "docker info 2>/dev/null | sed -n '/Storage Driver/,/Library Version/p'"
echo "== lvs"
$lab ssh demo -- lvs -a -o+seg_monitor
echo "== lsblk"
$lab ssh demo -- lsblk
echo "Look around: $lab ssh demo        Remove everything: make demo-clean"
