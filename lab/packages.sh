#!/bin/sh
# Install those of some Debian packages that are missing.
#   sh lab/packages.sh NAME...
set -eu
missing=
for name; do
  dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"
done
[ "$missing" ] || exit 0
echo "== Debian packages:$missing"
sudo=sudo
[ "$(id -u)" != 0 ] || sudo=
$sudo apt-get update -q
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
