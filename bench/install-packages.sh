#!/bin/sh
# What Bilocate is measured with and against. Installs it with apt-get when root; says what is missing otherwise.
set -u
packages=""
need() { command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
need fio fio
need qemu-img qemu-utils
need nbdkit nbdkit
need qemu-storage-daemon qemu-system-common
# For the row stall alone: what hosts notice of its restart.
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages="$packages postgresql"
[ -z "$packages" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends $packages >/dev/null && exit 0
	echo "apt-get could not install:$packages" >&2
	exit 1
fi
echo "The benchmark needs packages that are not here. As root: apt-get install$packages" >&2
exit 1
