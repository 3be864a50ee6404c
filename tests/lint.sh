#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The rules no compiler checks: who may include whom, and which symbols the library exports.
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
rule resolverd/base resolverd/supervisor resolverd/server resolverd/worker resolverd/anchor client
rule resolverd/supervisor resolverd/server resolverd/worker resolverd/anchor client
rule resolverd/server resolverd/supervisor resolverd/worker resolverd/anchor client
rule resolverd/worker resolverd/supervisor resolverd/server resolverd/anchor client
rule resolverd/anchor resolverd/supervisor resolverd/server resolverd/worker client

if grep -rnE '^#\s*if' --include=*.c --include=*.h resolverd proto client | grep -v __cplusplus |
	grep -vE '^resolverd/base/|^client/resolverd.h:'; then
	echo "lint: no #if outside resolverd/base" >&2
	failed=1
fi

exported=$(nm -D --defined-only "$build/libresolverd.so.0" | awk '$2 == "T" {print $3}' | sed 's/@.*//' | sort)
listed=$(grep -oE '\bresolverd_[a-z0-9_]+' client/lib/exports.map | sort)
if [ "$exported" != "$listed" ]; then
	echo "lint: exported symbols and client/lib/exports.map differ" >&2
	failed=1
fi
exit $failed
