# An emulated machine (QEMU) with Debian's kernel, Python and the daemon of this working tree, for
# scripts/vivid.sh and scripts/powercut.sh, which source this file after setting `here` (the
# repository) and `me` (their name). The root is kept in MACHINE_ROOT between runs.
work=${MACHINE_ROOT:-/var/tmp/edge-inspect-machine}
root=$work/root

machine_tools() { # exit code 2 with a sentence when no machine can be emulated
  [ "$(id -u)" = 0 ] || { echo "$me: needs root; run: sudo sh scripts/$me.sh"; exit 2; }
  [ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] ||
    { echo "$me: needs a Debian machine with amd64 packages"; exit 2; }
  if ! { command -v qemu-system-x86_64 && command -v debootstrap && command -v mkfs.ext4; } >/dev/null
  then
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
      --no-install-recommends qemu-system-x86 seabios debootstrap e2fsprogs; } ||
      { echo "$me: QEMU cannot be installed; run: apt-get install qemu-system-x86"; exit 2; }
  fi
  mkdir -p "$work"
}

machine_root() { # the root with the daemon's packages and the working tree, until machine_disk
  exec 9>"$work/lock"
  flock 9 # another script may be using it
  if [ ! -e "$work/root-complete" ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' |
      awk '$2 == "Debian" {print $1; exit}')
    [ -n "$mirror" ] || { echo "$me: apt names no Debian mirror; run: apt-get update"; exit 2; }
    echo "== a Debian root with kernel, v4l-utils and Python (kept in $work)"
    rm -rf --one-file-system "$root"
    debootstrap --variant=minbase \
      --include=linux-image-amd64,kmod,iproute2,v4l-utils,python3,python3-pip,ca-certificates \
      bookworm "$root" "$mirror" >"$work/debootstrap.log" 2>&1 ||
      { tail -20 "$work/debootstrap.log"; exit 1; }
    touch "$work/root-complete"
  fi
  wanted=$(cat "$here/setup.cfg" "$here/constraints.txt" | sha256sum)
  [ "$(cat "$work/packages" 2>/dev/null)" = "$wanted" ] || machine_packages
  rm -rf "$root/opt/edge-inspect"
  mkdir -p "$root/opt/edge-inspect"
  (cd "$here" && tar -c --exclude=__pycache__ edge tests/__init__.py tests/cameras tests/machine tests/support \
    tests/models) | tar -x -C "$root/opt/edge-inspect"
  cp "$here/scripts/machine_init.sh" "$root/opt/init"
  chmod 755 "$root/opt/init"
}

machine_packages() {
  echo "== the daemon's packages (the machine has no network)"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    if [ -e "$file" ]; then
      mkdir -p "$root$(dirname "$file")"
      cp -L "$file" "$root$file"
    fi
  done
  rm -rf "$root/opt/edge-inspect" "$root/opt/packages"
  mkdir -p "$root/opt/edge-inspect"
  (cd "$here" && tar -c --exclude=__pycache__ setup.cfg pyproject.toml constraints.txt README.md \
    LICENSE edge edge_bench converter trainer) | tar -x -C "$root/opt/edge-inspect"
  mount -t proc proc "$root/proc"
  trap 'umount "$root/proc"' EXIT INT TERM
  chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt sh -c 'cd /opt/edge-inspect &&
      python3 -m pip install -q --root-user-action=ignore --target /opt/packages \
        -c constraints.txt .'
  umount "$root/proc"
  trap - EXIT INT TERM
  # The tested code is that of the working tree, not the installed copy.
  rm -rf "$root/opt/packages/edge" "$root/opt/packages/edge_bench" \
    "$root/opt/packages/converter" "$root/opt/packages/trainer"
  echo "$wanted" >"$work/packages"
}

machine_disk() { # FILE: a new ext4 disk that holds the root
  rm -f "$1"
  mkfs.ext4 -q -F -d "$root" "$1" 3G >/dev/null
  exec 9>&-
}

machine_options() { # options of QEMU, with hardware acceleration if there is any
  # A /dev/kvm on a processor without vmx or svm emulates each instruction and is slower than TCG:
  # one such machine had not unpacked the kernel after 100 s; TCG boots in 10 s.
  if [ -w /dev/kvm ] && grep -qE '^flags.*\b(vmx|svm)\b' /proc/cpuinfo; then
    accelerator="-accel kvm -accel tcg"
  else
    accelerator="-accel tcg,thread=multi"
  fi
  echo "$accelerator -cpu max -smp 2 -m 1536 -display none -no-reboot" \
    "-kernel $(ls "$root"/boot/vmlinuz-* | tail -1) -initrd $(ls "$root"/boot/initrd.img-* | tail -1)"
}
