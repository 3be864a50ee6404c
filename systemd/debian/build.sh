#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# build.sh dist TARBALL FOLDER: the committed files as a tarball in which they are below FOLDER.
# build.sh packages TARBALL OUTPUT [VERSION]: Debian's packages out of it, in OUTPUT; lintian's warnings fail it.
# The same commit gives the same bytes: times are the commit's, or SOURCE_DATE_EPOCH.
set -euo pipefail

dist() {
	local tarball=$1 folder=$2
	mkdir -p "${tarball%/*}"
	if [ -e .git ]; then
		[ -z "$(git status --porcelain)" ] || echo "dist: what is not committed is not in it" >&2
		git archive --format=tar --prefix="$folder/" HEAD
	else
		tar -c --sort=name --owner=0 --group=0 --numeric-owner --exclude=./build --transform="s|^\.|$folder|" .
	fi | gzip -9n >"$tarball"
	echo "$tarball"
}

packages() {
	local tarball=$1 output=$2 version=${3:-} tree=$2/tree
	rm -rf "$output"
	mkdir -p "$tree"
	tar -xzf "$tarball" -C "$tree" --strip-components=1
	cp -r "$tree/systemd/debian" "$tree/debian"
	SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(stat -c %Y "$tree/Makefile")}
	export SOURCE_DATE_EPOCH
	if [ -n "$version" ]; then
		{
			printf 'resolverd (%s) unstable; urgency=medium\n\n  * Another build.\n\n -- %s  %s\n\n' "$version" \
				"$(sed -n 's/^Maintainer: //p' "$tree/debian/control")" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
			cat "$tree/systemd/debian/changelog"
		} >"$tree/debian/changelog"
	fi
	# Neither the variables of a make that runs this nor the caller's flags.
	if ! (cd "$tree" && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u MODE -u PREFIX -u CFLAGS -u CPPFLAGS -u LDFLAGS \
		DEB_BUILD_OPTIONS="parallel=$(nproc) ${DEB_BUILD_OPTIONS:-}" dpkg-buildpackage -us -uc -b) >"$output/log" 2>&1; then
		tail -n 30 "$output/log" | cut -c -300 >&2
		echo "deb: failed, see $output/log" >&2
		exit 1
	fi
	rm -rf "$tree"
	lintian --allow-root --fail-on error,warning --display-info "$output"/*.changes
	(cd "$output" && stat -c '%9s %n' ./*.deb)
}

case $1 in
dist | packages) "$@" ;;
esac
