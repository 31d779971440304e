#!/bin/sh
# The tests speak to real NBD clients. Installs them with apt-get when root; says what is missing otherwise.
set -u
packages=""
need() { command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
need qemu-img qemu-utils
need nbdinfo libnbd-bin
need nbdfuse nbdfuse
need nbdkit nbdkit
need fio fio
need ip iproute2
need mkfs.ext4 e2fsprogs
[ -e /usr/lib/python3/dist-packages/nbd.py ] || packages="$packages python3-libnbd"
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || packages="$packages postgresql"
[ -z "$packages" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends $packages >/dev/null && exit 0
	echo "apt-get could not install:$packages" >&2
	exit 1
fi
echo "These tests need packages that are not here. As root: apt-get install$packages" >&2
exit 1
