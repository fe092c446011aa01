#!/bin/sh
# Tests the v4l2 source against all faults with a real kernel driver: the virtual camera `vivid` of
# Debian's kernel, in an emulated machine (QEMU, KVM is not needed):
#   sh scripts/vivid.sh
# Needs root and a Debian machine. Exit code 1 when a row fails or the machine does not end within
# VIVID_LIMIT_S; 2 when no machine can be emulated.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
me=vivid
limit=${VIVID_LIMIT_S:-2400}
. "$here/scripts/machine.sh"
machine_tools
machine_root
disk=$work/vivid.$$.ext4 console=$work/vivid.$$.console
trap 'rm -f "$disk"' EXIT
machine_disk "$disk"

echo "== the machine (limit $limit s; its console: $console)"
# shellcheck disable=SC2046  options are words
timeout "$limit" qemu-system-x86_64 $(machine_options) -nic none -serial stdio -monitor none \
  -drive "file=$disk,format=raw,if=virtio" \
  -append "root=/dev/vda rw console=ttyS0 quiet panic=-1 init=/opt/init machine.run=tests.cameras.vivid" \
  </dev/null 2>&1 | sed -u 's:\r::g' | tee "$console" | grep --line-buffered -E '^(\||vivid:|Traceback|[A-Za-z.]*Error)' || true
grep -qx 'machine: exit code 0' "$console" || {
  echo "vivid: a row failed, or the machine ended early or was too slow; see $console"
  exit 1
}
rm -f "$console"
