#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# run.sh TARBALL PACKAGES BUILD: the packages of build.sh, built again and compared, and in a new Debian that systemd boots (test_packages.py).
# That Debian is made once, by debootstrap, and kept in build/debian.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tarball=$1 packages=$2 build=$3
work=build/deb-test debian=build/debian
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
# What the packages depend on, and a compiler: in the machine there is no network to fetch it from.
included="systemd systemd-sysv dbus dns-root-data procps gcc libc6-dev pkg-config python3 python3-protobuf python3-nacl python3-cryptography
libconfuse2 libevent-core-2.1-7 libevent-extra-2.1-7 libhiredis0.14 libidn2-dev libjansson4 libldns3 libprotobuf-c-dev libseccomp2 libsodium-dev libssl-dev libunbound8"

make_debian() {
	debootstrap --variant=minbase "$codename" "$debian/root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
	cp /etc/resolv.conf "$debian/root/etc/resolv.conf"
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive chroot "$debian/root" apt-get install -y -qq --no-install-recommends $included
	chroot "$debian/root" apt-get clean
	touch "$debian/complete"
}

# Another folder, time zone, language, umask and number of jobs.
echo "deb-test: building again"
rm -rf "$work"
mkdir -p "$work"
again=$(mktemp -d /tmp/resolverd-packages.XXXXXX)
trap 'rm -rf "$again"' EXIT
(umask 077 && TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 DEB_BUILD_OPTIONS=parallel=1 systemd/debian/build.sh packages "$tarball" "$again/deb" >"$work/again.log" 2>&1) ||
	{ tail "$work/again.log" >&2; exit 1; }
differ=0
for package in "$packages"/*.deb; do
	cmp "$package" "$again/deb/${package##*/}" || differ=1
done
[ "$differ" = 0 ] || { echo "deb-test: two builds of one commit differ" >&2; exit 1; }
echo "deb-test: $(ls "$packages"/*.deb | wc -l) packages, the same bytes both times"

echo "deb-test: building the next version"
systemd/debian/build.sh packages "$tarball" "$work/next" 0.1.0+next >"$work/next.log" 2>&1 || { tail "$work/next.log" >&2; exit 1; }

if [ ! -e "$debian/complete" ]; then
	echo "deb-test: making a Debian with debootstrap"
	tests/deps.sh debootstrap
	rm -rf "$debian"
	mkdir -p "$debian"
	# In a shell of its own: in a condition errexit is off.
	bash -euc "$(declare -f make_debian); $(declare -p debian codename included); make_debian" >"$debian/log" 2>&1 || { tail -n 5 "$debian/log" >&2; exit 1; }
fi
PYTHONPATH=tests/system BUILD_DIR=$build PACKAGES=$PWD/$packages PACKAGES_NEXT=$PWD/$work/next DEBIAN_ROOT=$PWD/$debian/root \
	timeout -k 10 600 tests/world/run.py -- /usr/bin/python3 -m pytest -q -p no:cacheprovider "$here"
