#!/bin/sh
# source x fault for v4l2 with a real kernel driver: Debian's kernel and its virtual camera `vivid`
# in an emulated machine (QEMU, no KVM needed):
#   sh scripts/vivid.sh
# Needs root and a Debian machine. The root is kept in VIVID_ROOT between runs. Exit code 1 when a
# row failed or the machine did not end within VIVID_LIMIT_S.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=${VIVID_ROOT:-/var/tmp/edge-inspect-vivid}
limit=${VIVID_LIMIT_S:-2400}
suite=bookworm
root=$work/root

[ "$(id -u)" = 0 ] || { echo "vivid: needs root; run: sudo sh scripts/vivid.sh"; exit 2; }
command -v apt-get >/dev/null || { echo "vivid: needs a Debian machine with apt-get"; exit 2; }
if ! { command -v qemu-system-x86_64 && command -v debootstrap && command -v mkfs.ext4; } >/dev/null; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    qemu-system-x86 seabios debootstrap e2fsprogs
fi
mkdir -p "$work"

leave() { umount "$root/proc" 2>/dev/null || true; }
trap leave EXIT INT TERM

if [ ! -e "$work/root-complete" ]; then
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' |
    awk '$2 == "Debian" {print $1; exit}')
  [ -n "$mirror" ] || { echo "vivid: apt names no Debian mirror; run: apt-get update"; exit 2; }
  echo "== a Debian $suite root with kernel, v4l-utils and Python"
  rm -rf --one-file-system "$root"
  debootstrap --variant=minbase \
    --include=linux-image-amd64,kmod,v4l-utils,python3,python3-pip,ca-certificates \
    "$suite" "$root" "$mirror" >"$work/debootstrap.log" 2>&1 ||
    { tail -20 "$work/debootstrap.log"; exit 1; }
  touch "$work/root-complete"
fi

constraints=$(cat "$here/setup.cfg" "$here/constraints.txt" | sha256sum)
if [ "$(cat "$work/packages" 2>/dev/null)" != "$constraints" ]; then
  echo "== the daemon's packages (the machine itself has no network)"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    if [ -e "$file" ]; then
      mkdir -p "$root$(dirname "$file")"
      cp -L "$file" "$root$file"
    fi
  done
  rm -rf "$root/opt/edge-inspect" "$root/opt/packages"
  mkdir -p "$root/opt/edge-inspect"
  (cd "$here" && tar -c setup.cfg pyproject.toml constraints.txt README.md LICENSE edge) |
    tar -x -C "$root/opt/edge-inspect"
  mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
  chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt sh -c 'cd /opt/edge-inspect &&
      python3 -m pip install -q --root-user-action=ignore --target /opt/packages \
        -c constraints.txt .'
  umount "$root/proc"
  # The code under test is the working tree's, not the installed copy.
  rm -rf "$root/opt/packages/edge" "$root/opt/packages/converter" "$root/opt/packages/trainer"
  echo "$constraints" >"$work/packages"
fi

rm -rf "$root/opt/edge-inspect"
mkdir -p "$root/opt/edge-inspect"
(cd "$here" && tar -c --exclude=__pycache__ edge tests/__init__.py tests/cameras tests/models scripts) |
  tar -x -C "$root/opt/edge-inspect"
cp "$here/scripts/vivid_init.sh" "$root/opt/init"
chmod 755 "$root/opt/init"

echo "== the disk"
rm -f "$work/disk.ext4"
mkfs.ext4 -q -F -d "$root" "$work/disk.ext4" 3G

echo "== the machine (emulated: slow; at most $limit s)"
rm -f "$work/console"
code=0
timeout "$limit" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 \
  -nographic -no-reboot -nic none \
  -kernel "$(ls "$root"/boot/vmlinuz-* | tail -1)" -initrd "$(ls "$root"/boot/initrd.img-* | tail -1)" \
  -drive "file=$work/disk.ext4,format=raw,if=virtio" \
  -append "root=/dev/vda rw console=ttyS0 quiet panic=-1 init=/opt/init" \
  </dev/null >"$work/console" 2>&1 || code=$?
tr -d '\r' <"$work/console" | grep -E '^(\||vivid:|Traceback|[A-Za-z.]*Error)' || true
[ "$code" = 0 ] || { echo "vivid: the machine ended with code $code; see $work/console"; exit 1; }
tr -d '\r' <"$work/console" | grep -qx 'vivid: exit code 0' ||
  { echo "vivid: a row failed, or the machine died; see $work/console"; exit 1; }
