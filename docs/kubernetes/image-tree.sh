#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: image-tree.sh STAGE IMAGE
# Makes of what `make install DESTDIR=STAGE PREFIX=/usr` left the file tree of the container image: the programs a pod needs,
# the libraries these are linked with, and what the daemon reads. The Containerfile runs it, and tests/system/test_kubernetes.py.
set -eu
stage=$1 image=$2

add() { # add FILE AS: a program of ours or of Debian, and its libraries
	install -D -m 755 "$1" "$image$2"
	strip "$image$2"
	ldd "$1" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
		[ -e "$image$library" ] || install -D -m 755 "$library" "$image$library"
	done
}

for program in sbin/resolverd sbin/resolverd-stub sbin/resolverd-postfix bin/resolverctl; do
	add "$stage/usr/$program" "/usr/$program"
done
add "$(command -v install)" /usr/bin/install # what copies the key out of its Secret

for file in root.hints root.key; do
	install -D -m 644 "/usr/share/dns/$file" "$image/usr/share/dns/$file"
done
install -d "$image/etc/resolverd" "$image/run/resolverd" "$image/var/lib/resolverd" "$image/key" "$image/secret" \
	"$image/dev" "$image/proc" "$image/sys"
echo 'resolverd:x:65532:65532::/:/sbin/nologin' > "$image/etc/passwd"
echo 'resolverd:x:65532:' > "$image/etc/group"
: > "$image/etc/resolv.conf" # where the engine puts the pod's
