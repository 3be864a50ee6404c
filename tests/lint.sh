#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The rules no compiler checks: who may include whom, and which symbols the libraries export.
set -eu
build=$1
failed=0

# rule FOLDER FORBIDDEN...: no file below FOLDER includes anything below the others.
rule() {
	folder=$1
	shift
	for forbidden in "$@"; do
		if grep -rnE "^#include \"$forbidden/" "$folder"; then
			echo "lint: $folder must not include $forbidden" >&2
			failed=1
		fi
	done
}
rule proto resolverd client
rule client resolverd
servers="client/serve client/stub client/postfix client/shim client/web"
rule client/lib client/openssl client/evidence client/smtp client/danesend client/ctl client/dns $servers
rule client/dns client/lib client/openssl client/evidence client/smtp client/danesend client/ctl $servers
rule client/serve client/openssl client/evidence client/smtp client/danesend client/ctl client/dns client/stub client/postfix client/shim
rule client/stub client/openssl client/evidence client/smtp client/danesend client/ctl client/postfix client/shim client/web
rule client/postfix client/openssl client/evidence client/smtp client/danesend client/ctl client/dns client/stub client/shim client/web
rule client/shim client/openssl client/evidence client/smtp client/danesend client/ctl client/serve client/stub client/postfix
rule client/web client/openssl client/evidence client/smtp client/danesend client/ctl client/dns client/stub client/postfix client/shim
rule client/openssl client/lib client/evidence client/smtp client/danesend client/ctl
rule client/evidence client/smtp client/danesend client/ctl
rule resolverd/base resolverd/supervisor resolverd/server resolverd/worker resolverd/anchor resolverd/fleet client
rule resolverd/server resolverd/supervisor resolverd/worker resolverd/anchor resolverd/fleet client
rule resolverd/worker resolverd/supervisor resolverd/server resolverd/anchor resolverd/fleet client
rule resolverd/anchor resolverd/supervisor resolverd/server resolverd/worker resolverd/fleet client
rule resolverd/fleet resolverd/supervisor resolverd/server resolverd/worker resolverd/anchor client
rule resolverd/supervisor resolverd/server resolverd/worker resolverd/anchor resolverd/fleet client

if grep -rnE '^#\s*if' --include=*.c --include=*.h resolverd proto client | grep -v __cplusplus |
	grep -vE '^resolverd/base/|^client/resolverd.h:'; then
	echo "lint: no #if outside resolverd/base" >&2
	failed=1
fi

if grep -rnE '^#include <openssl/' resolverd proto client/lib client/resolverd.h; then
	echo "lint: OpenSSL belongs in client/openssl and its callers only" >&2
	failed=1
fi

# exports LIBRARY MAP: the library exports just what its map lists.
exports() {
	exported=$(nm -D --defined-only "$build/$1" | awk '$2 == "T" {print $3}' | sed 's/@.*//' | sort)
	listed=$(grep -oE '\b(resolverd|(__)?res)_[a-z0-9_]+' "$2" | sort)
	if [ "$exported" != "$listed" ]; then
		echo "lint: exported symbols of $1 and $2 differ" >&2
		failed=1
	fi
}
exports libresolverd.so.0 client/lib/exports.map
exports libresolverd-openssl.so.0 client/openssl/exports.map
exports libresolverd-shim.so client/shim/exports.map

# Whatever the units start is not installed here.
if command -v systemd-analyze >/dev/null 2>&1; then
	units=$(mktemp -d)
	for unit in systemd/*.service systemd/*.socket systemd/*.mount; do
		sed 's|@PREFIX@/sbin/[a-z-]*|/bin/true|' "$unit" >"$units/${unit##*/}"
	done
	said=$(systemd-analyze verify --man=no "$units"/* 2>&1) || failed=1
	if [ -n "$said" ]; then
		echo "$said" >&2
		failed=1
	fi
	rm -rf "$units"
else
	echo "lint: no systemd-analyze here: the units are not checked" >&2
fi
exit $failed
