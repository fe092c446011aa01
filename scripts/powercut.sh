#!/bin/sh
# Cuts the power of an emulated box during writes, 20 times, and checks that every stored verdict is
# still there.
#   sh scripts/powercut.sh [--installed] [--cuts N] [--seed N] [--lying-disk]
# --installed: tests the Debian package in a box with systemd, with cuts also during boot, upgrade,
# version change and reload (tests/machine/installedcut.py).
# Needs root, a Debian machine, mosquitto and a Python with this project's test packages (PYTHON).
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
me=powercut
. "$here/scripts/machine.sh"
machine_tools
if [ "${1:-}" = --installed ]; then
  shift
  cd "$here"
  exec "${PYTHON:-python3}" -m tests.machine.installedcut "$@"
fi
machine_root
disk=$work/powercut.$$.ext4
trap 'rm -f "$disk"' EXIT
machine_disk "$disk"
cd "$here"
# shellcheck disable=SC2046  options are words
"${PYTHON:-python3}" -m tests.machine.powercut --disk "$disk" "$@" \
  --qemu qemu-system-x86_64 $(machine_options)
