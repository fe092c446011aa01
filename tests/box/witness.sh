#!/bin/sh
# Runs in the emulated box (tests/box/emulated.py) when it has booted, and tells on the serial console
# what it sees.
tell() { echo "BOX $*" >/dev/ttyS0; }
fail() { tell "FAIL $*"; journalctl -b -u edge-inspect --no-pager -n 20 -o cat >/dev/ttyS0; poweroff -f; }
wait_active() {
  tries=0
  until systemctl -q is-active edge-inspect; do
    tries=$((tries + 1)); [ $tries -lt 300 ] || fail "not active"; sleep 1
  done
}
tell "kernel $(uname -r), $(cat /sys/class/video4linux/video0/name) at /dev/video0"
wait_active
until mosquitto_pub -h 127.0.0.1 -t box/witness -m here 2>/dev/null; do sleep 1; done
tell "active $(cut -d. -f1 /proc/uptime) s after power-on"
mosquitto_sub -h 127.0.0.1 -C 30 -W 300 -q 1 -i gateway -c -t inspection/line1/result >/root/r1 2>/dev/ttyS0 || fail "no verdicts"
tell "verdicts $(grep -o '"verdict":"[a-z]*"' /root/r1 | sort | uniq -c | tr -s ' \n' ' ')"
grep -q '"verdict":"\(pass\|review\|fail\)"' /root/r1 || fail "nothing was judged"
tell "$(systemd-analyze security edge-inspect --no-pager | tail -1 | tr -cd ' -~')"
group=/sys/fs/cgroup$(systemctl show -P ControlGroup edge-inspect)
tell "memory.max $(cat "$group/memory.max"), peak $(($(cat "$group/memory.peak" 2>/dev/null || cat "$group/memory.current") / 1048576)) MB; pids.max $(cat "$group/pids.max"), now $(cat "$group/pids.current")"
# Root itself, put into the service's control group: the camera opens, the disk does not.
(
  echo 0 >"$group/cgroup.procs"
  if head -c 1 /dev/vda >/dev/null 2>/root/vda; then echo open >/root/vda; fi
  if head -c 1 /dev/kmsg >/dev/null 2>/root/kmsg; then echo open >/root/kmsg; fi
  if : </dev/video0 2>/root/video; then echo open >/root/video; fi
)
tell "disk: $(cat /root/vda); kernel log: $(cat /root/kmsg); camera: $(cat /root/video)"
grep -q "not permitted" /root/vda || fail "the disk can be opened"
[ "$(cat /root/video)" = open ] || fail "the camera cannot be opened"
before=$(systemctl show -P MainPID edge-inspect)
kill -9 "$before"
until [ "$(systemctl show -P MainPID edge-inspect)" != "$before" ]; do sleep 0.2; done
wait_active
mosquitto_sub -h 127.0.0.1 -C 30 -W 300 -q 1 -i gateway -c -t inspection/line1/result >/root/r2 || fail "no verdicts after kill -9"
seqs=$(cat /root/r1 /root/r2 | grep -o '"seq":[0-9]*,"boot' | grep -o '[0-9]*' | sort -nu)
lost=$(echo "$seqs" | awk 'NR > 1 && $1 != last + 1 {n += $1 - last - 1} {last = $1} END {print n + 0}')
tell "after kill -9: verdicts come; $(echo "$seqs" | wc -l) different ones, missing between them: $lost"
[ "$lost" = 0 ] || fail "verdicts were lost"
tell "HOLDS"
poweroff
