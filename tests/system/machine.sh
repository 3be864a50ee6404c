#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# machine.sh FOLDER UNIT…: becomes systemd, the first process of a machine made of the host's /usr, what is installed in
# FOLDER/install, and nothing else of the host; these units are enabled. To be run in namespaces of its own (machine.py), but for the network's.
set -eu
install=$1/install root=$1/root
shift

mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$root"
cd "$root"
mkdir -p usr etc var/lib var/log var/spool/postfix/pid run proc sys dev root over/upper over/work
mkdir -m 1777 tmp var/tmp
ln -s ../run var/run
for folder in bin sbin lib lib32 lib64; do
	[ ! -L "/$folder" ] || ln -s "usr/$folder" "$folder"
done
mount -t overlay -o "lowerdir=$install/usr:/usr,upperdir=over/upper,workdir=over/work" machine usr
cp -r "$install/etc/." etc/
cp /etc/ld.so.cache /etc/services etc/ 2>/dev/null || true

mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs -o mode=755 machine dev
mkdir dev/shm dev/pts
mount -t devpts -o newinstance devpts dev/pts
ln -s pts/ptmx dev/ptmx
for device in null zero full random urandom tty; do
	touch "dev/$device"
	mount --bind "/dev/$device" "dev/$device"
done
mount -t tmpfs -o mode=755 machine run

# Users, tmpfiles and journal are made and started as ever, of this project's files alone; nothing else of the host's services.
rm -rf usr/lib/systemd/system/*.wants usr/lib/systemd/system-generators usr/lib/sysusers.d usr/lib/tmpfiles.d
cp -r "$install/usr/lib/sysusers.d" "$install/usr/lib/tmpfiles.d" usr/lib/
wants() {
	mkdir -p "usr/lib/systemd/system/$1.wants"
	shift_to=$1
	shift
	for unit in "$@"; do ln -s "../$unit" "usr/lib/systemd/system/$shift_to.wants/"; done
}
wants sysinit.target systemd-sysusers.service systemd-tmpfiles-setup.service systemd-journald.service
wants sockets.target systemd-journald.socket systemd-journald-dev-log.socket

mkdir old
pivot_root . old
umount -l /old
rmdir /old
mount --make-rshared / # as systemd does on a host; credentials come to their place by it
SYSTEMD_OFFLINE=1 systemctl --quiet enable "$@"
exec env -i container=resolverd-test PATH=/usr/sbin:/usr/bin /usr/lib/systemd/systemd --unit=multi-user.target --show-status=no \
	--log-target=journal
