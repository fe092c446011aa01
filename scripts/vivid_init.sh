#!/bin/sh
# Process 1 of the machine of scripts/vivid.sh: mounts, runs the table, ends the machine.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mountpoint -q /proc || mount -t proc proc /proc
mountpoint -q /sys || mount -t sysfs sys /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
echo 1 >/proc/sys/kernel/printk
cd /opt/edge-inspect || exit 1
PYTHONPATH=/opt/edge-inspect:/opt/packages python3 -m tests.cameras.vivid 2>&1
echo "vivid: exit code $?"
sync
echo b >/proc/sysrq-trigger
