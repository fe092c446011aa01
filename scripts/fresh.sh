#!/bin/sh
# Runs both README commands in a new Debian root, from a clean clone:
#   sh scripts/fresh.sh [bookworm|trixie] [demo|test|all]
# FRESH_PYTEST: options for pytest in the root, such as --ignore=tests/trainer.
# Needs root, debootstrap and a Debian machine (its package mirror and its settings for pip and
# certificates are used inside the new root).
set -eu
suite=${1:-bookworm}
what=${2:-all}
here=$(cd "$(dirname "$0")/.." && pwd)
root=${FRESH_ROOT:-/var/tmp/edge-inspect-fresh-$suite}

[ "$(id -u)" = 0 ] || { echo "make fresh: needs root; run: sudo make fresh"; exit 2; }
if ! command -v debootstrap >/dev/null; then
  apt-get update -q && apt-get install -y -q --no-install-recommends debootstrap
fi
mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' |
  awk '$2 == "Debian" {print $1; exit}')
[ -n "$mirror" ] || { echo "make fresh: apt names no Debian mirror; run: apt-get update"; exit 2; }

leave() {
  umount "$root/proc" "$root/dev/shm" "$root/dev" "$root" 2>/dev/null || true
  [ -n "${FRESH_KEEP:-}" ] || rm -rf --one-file-system "$root"
}
leave
trap leave EXIT INT TERM

echo "== a new Debian $suite: python3, python3-venv, make, git, ca-certificates, nothing else"
mkdir -p "$root"
# The root is a mount of its own, as on a real machine: a test in it may change how mounts propagate.
mount --bind "$root" "$root"
debootstrap --variant=minbase --include=python3,python3-venv,make,git,ca-certificates \
  "$suite" "$root" "$mirror" >"$root.debootstrap.log" 2>&1 ||
  { tail -20 "$root.debootstrap.log"; exit 1; }

# The network settings of this machine, and the name that debootstrap leaves to the installer.
echo "127.0.0.1 localhost" >"$root/etc/hosts"
cp /etc/resolv.conf "$root/etc/resolv.conf"
for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
  if [ -e "$file" ]; then
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
  fi
done
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mkdir -p "$root/dev/shm"
mountpoint -q "$root/dev/shm" || mount -t tmpfs tmpfs "$root/dev/shm"

echo "== a clean clone"
git clone -q --no-local "$here" "$root/root/edge-inspect"

run() {
  echo "== $1"
  start=$(date +%s)
  chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    CI="${CI:-}" PYTEST_ADDOPTS="${FRESH_PYTEST:-}" PIP_CERT=/etc/ssl/certs/ca-certificates.crt sh -c "cd /root/edge-inspect && $1"
  echo "== $1: done in $(($(date +%s) - start)) s"
}

case $what in demo | all) run "make demo" ;; esac
case $what in test | all) run "make test" ;; esac
case $what in
all)
  echo "== the count of the subscriber, checked from outside"
  pictures=$(find "$root/root/edge-inspect/demo/data/test" -name '*.png' | wc -l)
  results=$(wc -l <"$root/root/edge-inspect/demo/results.jsonl")
  echo "$pictures pictures, $results results"
  [ "$pictures" = "$results" ]
  ;;
esac
