#!/bin/sh
# Runs in the emulated box (tests/box/emulated.py) at each boot, and tells on the console what it sees:
# /root/stage says how far it has come. Verdicts come to the plant's gateway (tests/box/plant.py).
results=/root/results.jsonl
tell() { echo "BOX $*" >/dev/console; }
fail() { tell "FAIL $*"; journalctl -b -u edge-inspect --no-pager -n 25 -o cat >/dev/console; poweroff -f; }
shown() { systemctl show -P "$1" edge-inspect; }
within() { # $1: seconds, $2: a condition, $3: what is waited for
  tries=0
  until eval "$2"; do
    tries=$((tries + 1)); [ $tries -lt $(($1 * 2)) ] || fail "not within $1 s: $3"; sleep 0.5
  done
}
uptime_s() { cut -d. -f1 /proc/uptime; }
seqs() { grep -o '"seq":[0-9]*,"boot' $results 2>/dev/null | grep -o '[0-9]*' | sort -nu; }
count() { seqs | wc -l; }
# Numbers between the first and the last that never came: each is a verdict that was lost.
missing() { seqs | awk 'NR > 1 && $1 != last + 1 {n += $1 - last - 1} {last = $1} END {print n + 0}'; }
enough() { [ "$(count)" -ge "$wanted" ]; }
whole() { [ "$(missing)" = 0 ]; }
more() { # $1: that many further verdicts, and none missing
  wanted=$(($(count) + $1))
  within 600 enough "$1 more verdicts"
  within 120 whole "every verdict"
  came="$(count) verdicts so far, missing: $(missing)"
}
active() { within 900 "systemctl -q is-active edge-inspect" "active"; }
another() { [ "$(shown MainPID)" != 0 ] && [ "$(shown MainPID)" != "$pid" ]; }
back() { within 900 another "another process than $pid"; active; }
waiting() { shown StatusText | grep -q wait; }
version() { edge-inspect --version; }

first_boot() {
  tell "kernel $(uname -r), $(uname -m), $(cat /sys/class/video4linux/video0/name) at /dev/video0"
  active
  tell "active $(uptime_s) s after power-on; $(shown StatusText)"
  tell "$(journalctl -b -u edge-inspect --no-pager -o cat | grep -m1 'golden pictures')"
  more 30
  tell "verdicts at mosquitto: $(grep -o '"verdict":"[a-z]*"' $results | sort | uniq -c | tr -s ' \n' ' ')"
  grep -q '"verdict":"\(pass\|review\|fail\)"' $results || fail "nothing was judged"
  tell "$(systemd-analyze security edge-inspect --no-pager | tail -1 | tr -cd ' -~')"
  group=/sys/fs/cgroup$(shown ControlGroup)
  tell "memory.max $(cat "$group/memory.max"), peak $(($(cat "$group/memory.peak" 2>/dev/null || cat "$group/memory.current") / 1048576)) MB; pids.max $(cat "$group/pids.max"), now $(cat "$group/pids.current")"
  pid=$(shown MainPID)
  tell "$(grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' "/proc/$pid/status" | tr -s '\t\n' ' ')"
  # Root itself, put into the service's control group: the camera opens, the disk does not.
  (
    echo 0 >"$group/cgroup.procs"
    if timeout 60 head -c 1 /dev/vda >/dev/null 2>/root/vda; then echo open >/root/vda; fi
    if timeout 60 head -c 1 /dev/kmsg >/dev/null 2>/root/kmsg; then echo open >/root/kmsg; fi
    if timeout 60 sh -c ': </dev/video0' 2>/root/video; then echo open >/root/video; fi
  )
  tell "disk: $(cat /root/vda); kernel log: $(cat /root/kmsg); camera: $(cat /root/video)"
  grep -q "not permitted" /root/vda || fail "the disk can be opened"
  [ "$(cat /root/video)" = open ] || fail "the camera cannot be opened"
  ! journalctl -b -u edge-inspect --no-pager -o cat | grep -q Traceback || fail "something was forbidden that it needs"

  pid=$(shown MainPID) at=$(uptime_s)
  kill -9 "$pid"
  back
  took=$(($(uptime_s) - at))
  more 20
  tell "kill -9: active again after $took s; $came"

  pid=$(shown MainPID) at=$(uptime_s)
  kill -STOP "$pid"
  back
  took=$(($(uptime_s) - at))
  journalctl -b -u edge-inspect --no-pager -o cat | grep -q 'Watchdog timeout' || fail "the watchdog did not act"
  more 20
  tell "SIGSTOP: watchdog; another process active after $took s; $came"

  systemctl -q disable mosquitto gateway
  echo second_boot >/root/stage
  tell "reboots, without a broker"
  systemctl reboot
}

second_boot() {
  active
  ! systemctl -q is-active mosquitto || fail "there is a broker"
  within 120 waiting "a status that tells of waiting verdicts"
  tell "active $(uptime_s) s after power-on, without broker; $(shown StatusText)"
  before=$(count)
  systemctl -q enable --now mosquitto gateway
  more 30
  tell "with the broker: $(($(count) - before)) verdicts more; $came"

  config=$(sha256sum </etc/edge-inspect/config.yaml) at=$(uptime_s)
  dpkg -i /root/two.deb >/root/two.log 2>&1 || { cat /root/two.log >/dev/console; fail "upgrade"; }
  active
  [ "$(version)" = 0.1.1 ] || fail "upgraded to $(version)"
  [ "$(sha256sum </etc/edge-inspect/config.yaml)" = "$config" ] || fail "config.yaml was changed"
  took=$(($(uptime_s) - at))
  more 20
  tell "upgrade by dpkg -i: $(version) active, $took s; $came"

  edge-inspect-setup rollback >/root/back.log 2>&1 || { cat /root/back.log >/dev/console; fail "rollback"; }
  active
  [ "$(version)" = 0.1.0 ] || fail "rolled back to $(version)"
  more 20
  tell "rollback: $(version) active; $came"

  dpkg -r edge-inspect >/root/gone.log 2>&1 || { cat /root/gone.log >/dev/console; fail "uninstall"; }
  [ ! -e /opt/edge-inspect ] || fail "/opt/edge-inspect is left"
  { [ -e /etc/edge-inspect/config.yaml ] && [ -e /var/lib/edge-inspect/outbox.db ]; } || fail "config or data are gone"
  dpkg -P edge-inspect >/root/gone.log 2>&1 || fail "purge"
  left=$(find /etc /opt /usr /var/lib -path /var/lib/dpkg -prune -o -name '*edge-inspect*' -print; getent passwd edge-inspect)
  [ -z "$left" ] || fail "left after the purge: $left"
  tell "uninstall: config and data left; purge: nothing left"
  tell "HOLDS"
  poweroff
}

stage=$(cat /root/stage 2>/dev/null || echo first_boot)
$stage
