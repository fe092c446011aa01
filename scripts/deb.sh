#!/bin/sh
# Builds a Debian package that installs without network and compiler:
#   sh scripts/deb.sh [amd64|arm64]        →  build/edge-inspect_VERSION_ARCH.deb
# It contains all wheels for Python 3.11 (Debian 12) and 3.13 (Debian 13). Its maintainer scripts call
# install.sh, like `make install`. Needs the package index, but no root.
set -eu
umask 022
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
arch=${1:-$(dpkg --print-architecture)}
case $arch in
amd64) machine=x86_64 ;;
arm64) machine=aarch64 ;;
*) echo "make deb: ARCH is amd64 or arm64 (got $arch)" >&2; exit 2 ;;
esac
id=$(sh scripts/install.sh id)
when=$(git log -1 --format=%cd --date=format:%Y%m%d%H%M 2>/dev/null || date +%Y%m%d%H%M)
version=${id%-*}+$when.${id##*-} # rises with each commit, so that dpkg knows an upgrade
work=$here/build/deb-$arch
rm -rf "$work"
tree=$work/tree
lib=$tree/usr/lib/edge-inspect
mkdir -p "$lib/wheels" "$tree/usr/bin" "$tree/usr/sbin" "$tree/usr/share/doc/edge-inspect" "$tree/DEBIAN"

echo "== wheels for $arch, Python 3.11 and 3.13"
"${PYTHON:-python3}" -m venv "$work/venv"
pip="$work/venv/bin/python -m pip -q --disable-pip-version-check"
mkdir "$work/source"
cp -r edge edge_bench converter trainer setup.cfg pyproject.toml README.md LICENSE "$work/source"
$pip wheel --no-deps -w "$lib/wheels" "$work/source"
# The requirements of the wheel without markers: pip would evaluate them for this machine.
wanted=$("$work/venv/bin/python" - "$lib/wheels" <<'PYTHON'
import glob, re, sys
from importlib.metadata import PathDistribution
from zipfile import Path
wheel = glob.glob(f"{sys.argv[1]}/edge_inspect-*.whl")[0]
(info,) = (p for p in Path(wheel).iterdir() if p.name.endswith(".dist-info"))
for line in PathDistribution(info).requires or []:
    name, _, marker = line.partition(";")
    extra = re.search(r'extra == ["\'](\w+)', marker)
    if extra is None or (extra[1] in ("web", "broker", "signing")):
        print(name.strip())
PYTHON
)
platforms=$(for minor in $(seq 5 36); do printf -- '--platform manylinux_2_%s_%s ' "$minor" "$machine"; done)
for python in 3.11 3.13; do
  # shellcheck disable=SC2086  # lists, to be split
  $pip download -d "$lib/wheels" -c constraints.txt --only-binary :all: --implementation cp \
    --python-version $python --abi "cp$(echo $python | tr -d .)" --abi abi3 --abi none \
    $platforms --platform "manylinux2014_$machine" --platform any $wanted gpiozero
done
if [ "$arch" = arm64 ]; then # GPIO; later Pythons have no wheel, and Raspberry Pi OS provides it
  # shellcheck disable=SC2086
  $pip download -d "$lib/wheels" --no-deps --only-binary :all: --implementation cp \
    --python-version 3.11 --abi cp311 $platforms 'lgpio>=0.2'
fi

echo "== the package"
echo "$id" >"$lib/id"
sh scripts/install.sh example >"$lib/config.yaml"
install -m 755 scripts/install.sh "$lib/install.sh"
install -m 644 constraints.txt docs/install.md systemd/edge-inspect.service "$lib/"
ln -s /opt/edge-inspect/current/bin/edge-inspect "$tree/usr/bin/edge-inspect"
ln -s ../lib/edge-inspect/install.sh "$tree/usr/sbin/edge-inspect-setup"
cp systemd/debian/copyright "$tree/usr/share/doc/edge-inspect/copyright"
gzip -9n <CHANGELOG.md >"$tree/usr/share/doc/edge-inspect/NEWS.md.gz"
maintainer=$(sed -n 's/^Maintainer: //p' systemd/debian/control)
printf 'edge-inspect (%s) unstable; urgency=medium\n\n  * See NEWS.md.gz.\n\n -- %s  %s\n' \
  "$version" "$maintainer" "$(date -R)" | gzip -9n >"$tree/usr/share/doc/edge-inspect/changelog.gz"
for script in postinst prerm postrm; do
  install -m 755 "systemd/debian/$script" "$tree/DEBIAN/$script"
done
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" \
  -e "s/@SIZE@/$(du -ks "$tree/usr" | cut -f1)/" systemd/debian/control >"$tree/DEBIAN/control"
(cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
package=build/edge-inspect_${version}_$arch.deb
# The wheels are already compressed.
dpkg-deb --root-owner-group -Zgzip -z1 --build "$tree" "$package" >/dev/null
rm -rf "$work"
echo "$package ($(du -m "$package" | cut -f1) MB): sudo apt-get install ./$package"
