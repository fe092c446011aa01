#!/bin/sh
# Process 1 of the machine of scripts/machine.sh: mounts file systems, runs the Python module of the
# kernel parameter machine.run=…, prints its exit code on the console, ends the machine.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mountpoint -q /proc || mount -t proc proc /proc
mountpoint -q /sys || mount -t sysfs sys /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
echo 1 >/proc/sys/kernel/printk
cd /opt/edge-inspect || exit 1
what=$(tr ' ' '\n' </proc/cmdline | sed -n 's/^machine\.run=//p')
export PYTHONPATH=/opt/edge-inspect:/opt/packages PYTHONDONTWRITEBYTECODE=1
python3 -m "$what" 2>&1
echo "machine: exit code $?"
sync
echo b >/proc/sysrq-trigger
