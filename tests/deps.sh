#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: deps.sh [build | PACKAGE…]
# Installs the Debian packages that build, tests and demo need: only what is missing. "build": what the build needs; PACKAGE…: that, and these.
set -eu

build="gcc libc6-dev make pkg-config protobuf-c-compiler protobuf-compiler libunbound-dev libevent-dev
libsodium-dev libprotobuf-c-dev libconfuse-dev libseccomp-dev libhiredis-dev libssl-dev libidn2-dev libjansson-dev libldns-dev dns-root-data"
tests="libcmocka-dev python3-pytest python3-dnspython python3-protobuf python3-nacl
python3-prometheus-client python3-cryptography python3-idna nsd ldnsutils unbound redis-server stunnel4 bind9-dnsutils knot-dnsutils dnsperf faketime iproute2 nftables
util-linux systemd mandoc python3-kubernetes python3-yaml
postfix libgnutls-dane0 libidn12 libpcre2-8-0 libnsl2 libdb5.3"
# Debian's npm brings some hundred packages: not where there is one, from wherever it came.
command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || tests="$tests nodejs npm"

case ${1:-} in
"") ;;
build) tests="" ;;
*) tests=$* ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "deps: this is no Debian system; install the counterparts of these packages by hand:" >&2
	echo $build $tests >&2
	exit 0
fi

# Exim can't be installed beside Postfix: it is unpacked where the tests look for it, its libraries are above.
exim=$(dirname "$0")/../build/exim4
unpack_exim() {
	case $tests in *postfix*) ;; *) return 0 ;; esac
	[ ! -x "$exim/usr/sbin/exim4" ] && ! command -v exim4 >/dev/null 2>&1 || return 0
	echo "deps: unpacking exim4-daemon-light"
	folder=$(mktemp -d)
	if (cd "$folder" && apt-get download -qq exim4-daemon-light >/dev/null 2>&1); then
		mkdir -p "$exim" && dpkg-deb -x "$folder"/exim4-daemon-light_*.deb "$exim"
	else
		echo "deps: no exim4-daemon-light to be had: its tests will be skipped" >&2
	fi
	rm -rf "$folder"
}

missing=""
for package in $build $tests; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
	unpack_exim
	exit 0
fi

echo "deps: installing$missing"
as_root=""
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "deps: neither root nor sudo; run this as root: apt-get install$missing" >&2
		exit 1
	fi
	as_root="sudo"
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# The name servers among them are started by the tests themselves, never as system services.
policy=/usr/sbin/policy-rc.d
made_policy=""
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
	$as_root chmod 755 "$policy"
	made_policy=yes
fi
status=0
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing \
	>/dev/null || status=$?
[ -z "$made_policy" ] || $as_root rm -f "$policy"
[ "$status" = 0 ] || echo "deps: apt-get could not install$missing" >&2
unpack_exim
exit "$status"
