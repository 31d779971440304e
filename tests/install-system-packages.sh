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
# Of Prometheus the tests want promtool alone: the package would start a server.
fetch_promtool() {
	command -v promtool >/dev/null 2>&1 && return 0
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 0
	there=$(mktemp -d) || return 0
	(cd "$there" && { [ -n "$packages" ] || apt-get update -q; } && apt-get download -q prometheus &&
		dpkg-deb -x prometheus_*.deb . && install -m 755 usr/bin/promtool /usr/local/bin/) >/dev/null 2>&1 ||
		echo "promtool could not be fetched: the alert rules will not be tested" >&2
	rm -rf "$there"
}
[ -z "$packages" ] && fetch_promtool && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends $packages >/dev/null && fetch_promtool && exit 0
	echo "apt-get could not install:$packages" >&2
	exit 1
fi
echo "These tests need packages that are not here. As root: apt-get install$packages" >&2
exit 1
