#!/bin/sh
# Installs edge-inspect on a box as a service, upgrades and removes it. `make install` and the Debian
# package run this script. docs/install.md describes it. Reasons:
# docs/decisions/0027-versions-side-by-side.md
#
#   install.sh install     first installation, or another version
#   install.sh upgrade     the same, but only if it is installed
#   install.sh rollback    to the previous version; a second rollback returns
#   install.sh uninstall   removes all but configuration and data; PURGE=1 removes these too
#   install.sh versions    lists the installed versions
#   install.sh id          the name of the version in this folder
#   install.sh example     config.yaml for a box
#
# Environment: PYTHON (default python3), WHEELS (a folder of wheels, no download), FORCE=1 (roll back
# to a version that refuses config.yaml), BIN and SBIN (folders of the commands).
set -eu
umask 022

HOME_OF=/opt/edge-inspect
CONFIG=/etc/edge-inspect/config.yaml
STATE=/var/lib/edge-inspect
UNITS=/etc/systemd/system
USER_NAME=edge-inspect
EXTRAS=web,broker,signing
PYTHON=${PYTHON:-python3}
WHEELS=${WHEELS:-}
BIN=${BIN-/usr/local/bin}
SBIN=${SBIN-/usr/local/sbin}
# Seconds until a new version must be ready; otherwise the old one is restored.
START_S=${START_S:-300}

here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
source=$(dirname "$here")
if [ "$here" = /usr/lib/edge-inspect ]; then # the Debian package has wheels and commands
  WHEELS=$here/wheels BIN='' SBIN=''
fi

say() { printf '%s\n' "$*"; }
refuse() { printf 'edge-inspect: %s\n' "$*" >&2; exit 1; }

need_root() {
  [ "$(id -u)" = 0 ] || refuse "installing needs root; run: sudo make $verb"
}

only_one() {
  exec 9>"/run/lock/edge-inspect-install"
  flock -n 9 || refuse "another installation is running; wait until it has ended"
}

systemd_runs() { [ -d /run/systemd/system ]; }

# --- the version to install -------------------------------------------------------------------

python_tag() { "$PYTHON" -c 'import sys; print("py%d.%d" % sys.version_info[:2])'; }

# Version, eight digits that change with any of its files, and the Python version: after an upgrade of
# Debian, the same version is built again for the new Python.
new_id() {
  if [ -e "$here/id" ]; then # written when the Debian package was built
    base=$(cat "$here/id")
  else
    version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$source/edge/__init__.py")
    [ -n "$version" ] || refuse "$source is not the source of edge-inspect"
    digest=$(cd "$source" && {
      find edge edge_bench converter trainer -type f ! -name '*.pyc' ! -path '*/__pycache__/*'
      ls setup.cfg pyproject.toml constraints.txt config.yaml systemd/edge-inspect.service scripts/install.sh
    } | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-8)
    base=$version-$digest
  fi
  say "$base"
}

# config.yaml of the source is for the demo. The one for a box has a camera, a broker and the paths of
# the service.
example() {
  if [ -e "$here/config.yaml" ]; then cat "$here/config.yaml"; return; fi
  sed -e '1,6{/^# As it stands/,/^# For your line/c\
# Change three things: station, cameras, and the model (copy it to model.path).
    }' \
    -e 's|^  path: demo/model.tflite    |  path: /var/lib/edge-inspect/models/model.tflite|' \
    -e 's|"replay:demo/data/test"  .*|"v4l2:/dev/video0"    # better its name in /dev/v4l/by-id|' \
    -e 's|^    rate: 5  |    # rate: 5|' -e 's|^    loop: 1  |    # loop: 1|' \
    -e 's|^  port: 1884 .*|  port: 1883                  # default: 1883, or 8883 with tls|' \
    -e 's|^  embedded: true  |  embedded: false |' \
    -e 's|^  # password_file: .*|  # password_file: credential:mqtt-password   # the file /etc/edge-inspect/mqtt-password|' \
    -e "s|demo/state/outbox.db  # default: .*|$STATE/outbox.db|" \
    -e "s|demo/state/archive    # default: .*|$STATE/archive|" \
    "$source/config.yaml"
}

# --- building a version in a separate folder, while the old one runs ----------------

check_machine() {
  architecture=$(dpkg --print-architecture 2>/dev/null || uname -m)
  case $architecture in
  amd64 | arm64 | x86_64 | aarch64) ;;
  *) refuse "this system is $architecture; amd64 and arm64 are supported (on a Raspberry Pi: the 64-bit Raspberry Pi OS)" ;;
  esac
  command -v systemctl >/dev/null || refuse "there is no systemd on this machine; without it: .venv/bin/edge-inspect run"
  command -v "$PYTHON" >/dev/null || refuse "there is no $PYTHON; run: apt-get install python3 python3-venv"
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    refuse "needs Python 3.11 or newer (Debian 12 or later); $PYTHON is $("$PYTHON" -V)"
  "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || {
    say "Installing python3-venv"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv >/dev/null ||
      refuse "python3-venv cannot be installed; run: apt-get update && apt-get install python3-venv"
  }
}

# GPIO: Raspberry Pi OS provides lgpio, which the virtual environment can import. Otherwise the wheel is
# installed, if there is one (Python 3.11). Only GPIO needs it.
get_pins() { # $1: the version's folder
  [ "$architecture" = arm64 ] || return 0
  "$1/bin/python" -c 'import lgpio' 2>/dev/null && return 0
  # shellcheck disable=SC2086
  $pip install $from --only-binary :all: --no-warn-script-location 'lgpio>=0.2' 2>/dev/null ||
    say "There is no lgpio for this Python: everything works but GPIO pins (Raspberry Pi OS: apt-get install python3-lgpio)"
}

build() { # $1: the folder; it is complete or absent
  say "Building $(basename "$1") (a minute or two on a Raspberry Pi)"
  rm -rf "$1"
  building=$1
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"; [ -e "$building/complete" ] || rm -rf "$building"' EXIT
  trap 'exit 1' INT TERM HUP
  # With access to Debian's packages, which provide picamera2 and GStreamer.
  "$PYTHON" -m venv --system-site-packages "$1"
  pip="$1/bin/python -m pip --disable-pip-version-check --no-input -q"
  if [ -n "$WHEELS" ]; then
    from="--no-index --find-links $WHEELS"
    wheel=$(ls "$WHEELS"/edge_inspect-*.whl) || refuse "there is no wheel of edge-inspect in $WHEELS"
  else
    from=
    [ -d "$source/edge" ] || refuse "there is no source beside $here; run \`sudo make install\` where it is, or \`dpkg-reconfigure edge-inspect\`"
    mkdir "$scratch/source"
    (cd "$source" && cp -r edge edge_bench converter trainer setup.cfg pyproject.toml README.md LICENSE "$scratch/source")
    # shellcheck disable=SC2086  # options, to be split
    $pip wheel --no-deps -w "$scratch" "$scratch/source"
    wheel=$(ls "$scratch"/edge_inspect-*.whl)
  fi
  # Only wheels, so that a box needs no compiler.
  # shellcheck disable=SC2086
  $pip install $from --only-binary :all: --ignore-installed --no-warn-script-location \
    -c "$(constraints)" "${wheel}[$EXTRAS]" gpiozero || refuse "the packages cannot be installed (see above); nothing was changed"
  get_pins "$1"
  "$1/bin/edge-inspect" --version >/dev/null || refuse "the new version does not run here; nothing was changed"
  mkdir -p "$1/share"
  example >"$1/share/config.yaml"
  cp "$(part systemd/edge-inspect.service)" "$(part docs/install.md)" "$(constraints)" "$1/share/"
  cp "$0" "$1/share/install.sh"
  basename "$1" | sed 's/-py[0-9.]*$//' >"$1/share/id"
  chmod 755 "$1/share/install.sh"
  # After a power cut, `complete` must not exist without the program.
  sync -f "$1"
  touch "$1/complete"
  rm -rf "$scratch"
  trap - EXIT
}

constraints() { part constraints.txt; }
# A file of the project: by its path in the source, or beside this script in the Debian package.
part() { if [ -e "$here/$(basename "$1")" ]; then say "$here/$(basename "$1")"; else say "$source/$1"; fi; }

# Installs a file atomically, also during a power cut. install(1) alone may leave an empty unit file,
# and then the service never starts.
place() { # $1: options of install(1), $2: the file, $3: the target
  # shellcheck disable=SC2086
  install $1 "$2" "$3.part"
  sync "$3.part"
  mv "$3.part" "$3"
}

# --- user, configuration, data ------------------------------------------------------------------

make_user() {
  getent passwd $USER_NAME >/dev/null ||
    useradd --system --user-group --home-dir $STATE --no-create-home --shell /usr/sbin/nologin \
      --comment "edge-inspect" $USER_NAME
  for group in video gpio plugdev; do # V4L2 cameras, GPIO, other USB cameras
    if getent group $group >/dev/null; then usermod -a -G $group $USER_NAME; fi
  done
}

make_folders() {
  install -d -m 750 -o root -g $USER_NAME "$(dirname $CONFIG)"
  install -d -m 750 -o $USER_NAME -g $USER_NAME $STATE
  install -d -m 755 -o root -g root $STATE/models
  install -d -m 2770 -o $USER_NAME -g $USER_NAME $STATE/models/versions # docs/models.md
}

# A configuration is never changed.
put_config() { # $1: the new version's folder
  [ ! -e $CONFIG ] || return 0
  place "-m 640 -o root -g $USER_NAME" "$1/share/config.yaml" $CONFIG
  say "Wrote $CONFIG: set station, cameras and model there"
}

# If the example has changed, the new one is written beside the configuration.
put_new_config() { # $1: the new version's folder, $2: the folder of the previous version, or nothing
  if [ -z "$2" ] || ! cmp -s "$1/share/config.yaml" "$2/share/config.yaml"; then
    cmp -s "$1/share/config.yaml" $CONFIG && return 0
    place "-m 640 -o root -g $USER_NAME" "$1/share/config.yaml" $CONFIG.new
    say "Kept $CONFIG; the new example is $CONFIG.new"
  fi
}

# --- trying and switching -----------------------------------------------------------------------

# Checks config and model with this version as the user of the service, without camera and broker.
try() { # $1: the version's folder
  credentials=$(mktemp -d)
  if [ -e /etc/edge-inspect/mqtt-password ]; then
    cp /etc/edge-inspect/mqtt-password "$credentials/mqtt-password"
  fi
  chown -R $USER_NAME: "$credentials"
  answer=$(cd / && CREDENTIALS_DIRECTORY=$credentials PYTHONNOUSERSITE=1 \
    runuser -u $USER_NAME -- "$1/bin/edge-inspect" check --offline -c $CONFIG 2>&1) && status=0 || status=$?
  rm -rf "$credentials"
  [ "$status" = 0 ]
}

point() { # $1: current or previous, $2: the version's folder
  ln -sfn "$(basename "$2")" "$HOME_OF/.$1"
  mv -T "$HOME_OF/.$1" "$HOME_OF/$1"
}

target() { if [ -e "$HOME_OF/$1/complete" ]; then readlink -f "$HOME_OF/$1"; fi; }

switch_to() { # $1: the version's folder
  point current "$1"
  place "-m 644" "$1/share/edge-inspect.service" $UNITS/edge-inspect.service
  if systemd_runs; then systemctl daemon-reload; fi
}

is_active() { systemd_runs && systemctl -q is-active edge-inspect; }

# Without waiting, because the service may wait for its model.
restart_soon() {
  if systemd_runs; then
    before=$(invocation)
    systemctl restart --no-block edge-inspect
  fi
}
invocation() { systemctl show -P InvocationID edge-inspect; }

restart() { timeout "$START_S" systemctl restart edge-inspect 2>/dev/null; }

links() {
  [ -z "$BIN" ] || ln -sfn $HOME_OF/current/bin/edge-inspect "$BIN/edge-inspect"
  [ -z "$SBIN" ] || ln -sfn $HOME_OF/current/share/install.sh "$SBIN/edge-inspect-setup"
}

status_line() { systemctl show -P StatusText edge-inspect; }

# Prints the state of the service after the command.
print_state() {
  if ! systemd_runs; then
    say "systemd is not running here: the service starts with the next boot"
    return
  fi
  tries=0
  while [ $tries -lt 60 ]; do
    if is_active && [ "$(invocation)" != "${before:-}" ]; then
      say "The service runs. See: systemctl status edge-inspect"
      return
    fi
    case $(status_line) in
    "does not start"*)
      say "The service waits: $(status_line)"
      say "It starts automatically when that is fixed. See: systemctl status edge-inspect"
      return
      ;;
    esac
    sleep 0.5
    tries=$((tries + 1))
  done
  say "The service is not ready yet. See: systemctl status edge-inspect"
}

prune() { # every version but current and previous
  for folder in "$HOME_OF"/*/; do
    folder=$(readlink -f "$folder")
    case $folder in
    "$(target current)" | "$(target previous)") ;;
    *) rm -rf "$folder" ;;
    esac
  done
}

# Removes a version that was refused, unless it was installed before: rollback needs it.
discard() { # $1: the version's folder
  [ "$1" = "$(target previous)" ] || rm -rf "$1"
}

install_version() {
  check_machine
  mkdir -p $HOME_OF /run/lock
  only_one
  old=$(target current)
  new=$HOME_OF/$(new_id)-$(python_tag)
  make_user
  make_folders
  if [ -e "$new/complete" ]; then say "$(basename "$new") is already built"; else build "$new"; fi
  put_config "$new"
  if [ -n "$old" ] && [ "$old" != "$new" ] && ! try "$new"; then
    refusal=$answer
    if try "$old"; then
      discard "$new"
      refuse "the new version refuses the configuration of the old one; the old one keeps running ($(basename "$old")):
$refusal"
    fi
    say "Neither the new version nor the old one accepts $CONFIG:"
    say "$refusal"
  fi
  was_active=no
  if is_active; then was_active=yes; fi
  if [ "$was_active" = yes ] && [ "$old" = "$new" ] && cmp -s "$new/share/edge-inspect.service" $UNITS/edge-inspect.service; then
    links
    say "$(basename "$new") is already installed and running"
    return
  fi
  switch_to "$new"
  systemctl -q enable edge-inspect
  links
  if [ "$was_active" = yes ] && [ -n "$old" ] && [ "$old" != "$new" ]; then
    if ! restart; then
      why=$(status_line)
      switch_to "$old"
      restart || true
      discard "$new"
      refuse "the new version did not start (${why:-see: journalctl -u edge-inspect}); the old one runs again ($(basename "$old"))"
    fi
  else
    restart_soon
  fi
  if [ -n "$old" ] && [ "$old" != "$new" ]; then point previous "$old"; fi
  prune
  put_new_config "$new" "$old"
  sync # the installation must survive a power cut
  say "Installed $(basename "$new")"
  print_state
}

rollback() {
  only_one
  old=$(target current)
  new=$(target previous)
  [ -n "$new" ] || refuse "there is no previous version"
  if [ -z "${FORCE:-}" ] && ! try "$new"; then
    refuse "the previous version refuses $CONFIG; fix it, or add FORCE=1:
$answer"
  fi
  switch_to "$new"
  [ -z "$old" ] || point previous "$old"
  say "Switched to $(basename "$new"); another rollback returns to $(basename "${old:-nothing}")"
  restart_soon
  print_state
}

uninstall() {
  only_one
  if systemd_runs; then systemctl stop edge-inspect 2>/dev/null || true; fi
  systemctl -q disable edge-inspect 2>/dev/null || true
  rm -f $UNITS/edge-inspect.service $UNITS/edge-inspect.service.part
  if systemd_runs; then
    systemctl daemon-reload
    systemctl reset-failed edge-inspect 2>/dev/null || true
  fi
  for link in "$BIN/edge-inspect" "$SBIN/edge-inspect-setup"; do
    case $(readlink "$link" || true) in $HOME_OF/*) rm -f "$link" ;; esac
  done
  rm -rf $HOME_OF
  if [ -n "${PURGE:-}" ]; then
    rm -rf "$(dirname $CONFIG)" $STATE $UNITS/edge-inspect.service.d
    if getent passwd $USER_NAME >/dev/null; then userdel $USER_NAME; fi
    # it outlives its user while people are in it
    if getent group $USER_NAME >/dev/null; then groupdel $USER_NAME; fi
    say "Removed edge-inspect, its configuration and its data"
  else
    say "Removed edge-inspect. Left: $(dirname $CONFIG) and $STATE (PURGE=1 removes them too)"
  fi
}

versions() {
  for name in current previous; do
    folder=$(target $name)
    say "$name: ${folder:+$(basename "$folder")}"
  done
}

# `make install` and a Debian package must not both own the folder.
not_from_package() {
  [ "${DPKG_MAINTSCRIPT_PACKAGE:-}" != edge-inspect ] || return 0
  if dpkg-query -W -f '${Status}' edge-inspect 2>/dev/null | grep -q ' installed$'; then
    refuse "edge-inspect is installed as a Debian package; use apt-get, or first: apt-get remove edge-inspect"
  fi
}

verb=${1:-}
case $verb in
install) need_root; not_from_package; install_version ;;
upgrade)
  need_root
  not_from_package
  [ -n "$(target current)" ] || refuse "not installed; run: sudo make install"
  install_version
  ;;
rollback) need_root; rollback ;;
uninstall) need_root; not_from_package; uninstall ;;
versions) versions ;;
id) new_id ;;
example) example ;;
*) refuse "use: install.sh install|upgrade|rollback|uninstall|versions" ;;
esac
