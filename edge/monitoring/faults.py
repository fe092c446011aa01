"""All faults that the box reports. They are built only here, so that MQTT, HTTP, Prometheus and
systemd report the same, and docs/health.md can list them all."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edge.capture import FAULT_KINDS
from edge.core.threads import ThreadFault
from edge.monitoring.host import HostState
from edge.storage import HistoryStats, OutboxStats

Severity = Literal["unhealthy", "warning"]

DISK_LOW_MB = 100.0
INODES_LOW_PERCENT = 2.0
MEMORY_LOW_MB = 64.0
MEMORY_FULL_PERCENT = 90.0
PRESSURE_PERCENT = 10.0

_CAMERA_FIXES = {
    "lost": "check its power, its cable and cameras[].source",
    "silent": "check the camera and its cable, or the folder's disk and network share",
    "unfit": "give it the size that the model was trained for, or train for this one",
    "decode": "check its cable and its network, or lower its frame rate",
    "wrong_size": "set the camera's size, or cameras[].width and height",
    "stale": "lower its frame rate, or raise trust.max_age_s",
    "frozen": "restart or replace it",
    "dark": "correct the light, or the limits under trust",
    "bright": "correct the light, or the limits under trust",
    "covered": "clean the lens, or correct the limits under trust",
    "blurred": "clean and focus the lens, or correct the limits under trust",
    "starting": "wait; if it does not start, see the log",
    "stopped": "the daemon is stopping; if it is not, restart it",
}

# The effect when a thread ends, by the beginning of its name.
THREADS = {
    "api": "the local socket does not answer",
    "archive": "pictures are not kept",
    "broker": "the embedded broker does not serve, and verdicts wait in the outbox",
    "camera-": "its camera is not read",
    "estimate": "the estimate in health is not updated",
    "history": "verdicts are not remembered",
    "inspection": "the pictures of its cameras are not judged",
    "models": "the request `models` is not answered, and a switch that waits does not come",
    "mqtt": "its connection to the broker ends and is opened again",
    "outbox": "verdicts are not written to the disk",
    "outputs": "the wires do not follow the verdicts",
    "pictures": "pictures are not sent",
    "probation": "new model versions are not watched",
    "publisher": "verdicts are not sent",
    "recipes": "changed recipes are not noted, and models are not loaded",
    "records": "the requests `history` and `label` are not answered",
    "reload": "a changed config.yaml is not applied",
    "shadow": "a candidate does not judge along",
    "signals": "SIGTERM and SIGHUP are not obeyed",
    "supervisor": "silent cameras are not noticed",
    "trigger-": "its parts are not announced",
    "waitress": "HTTP requests wait",
    "web": "HTTP requests are not answered",
}

# The severity of each kind. A Fault of another kind cannot be built.
KINDS: dict[str, Severity] = {
    **{f"camera_{state}": "unhealthy" for state in (*FAULT_KINDS, "starting", "stopped")},
    "outbox_refuses": "unhealthy",
    "output_pin": "unhealthy",
    "thread_ended": "unhealthy",
    "thread_failed": "warning",
    "accessory": "warning",
    "evidence": "warning",
    "no_recipe": "unhealthy",
    "recipes": "warning",
    "model_returned": "warning",
    "outbox_dropped": "warning",
    "outbox_damaged": "warning",
    "outbox_parked": "warning",
    "parts_not_noted": "warning",
    "local_socket": "warning",
    "history": "warning",
    "history_damaged": "warning",
    "config_refused": "warning",
    "restart_required": "warning",
    "broker": "warning",
    "disk_low": "warning",
    "disk_read_only": "warning",
    "disk_inodes": "warning",
    "clock_not_set": "warning",
    "hot": "warning",
    "throttled": "warning",
    "under_voltage": "warning",
    "under_voltage_earlier": "warning",
    "memory_low": "warning",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Raises KeyError for an unknown kind.

    kind: a key of KINDS.
    part: the component, as a person calls it.
    sentence: the fault and its fix.
    """

    kind: str
    part: str
    sentence: str

    def __post_init__(self) -> None:
        KINDS[self.kind]

    @property
    def severity(self) -> Severity:
        """`unhealthy`: parts get no judgement or verdicts may be lost; /healthz answers 503."""
        return KINDS[self.kind]

    def __str__(self) -> str:
        return f"{self.part}: {self.sentence}"


def healthy(faults: Iterable[Fault]) -> bool:
    """Whether all faults are warnings."""
    return all(fault.severity == "warning" for fault in faults)


def camera_faults(cameras: Iterable[tuple[str, str, str]]) -> Iterator[Fault]:
    """`cameras`: id, state and reason of each."""
    for name, state, why in cameras:
        if state in _CAMERA_FIXES:
            fix = _CAMERA_FIXES[state]
            yield Fault(f"camera_{state}", f"camera {name}", f"{why or state}; {fix}")


def delivery_faults(
    outbox: str, stats: OutboxStats, parts: str, broker: Sequence[str]
) -> Iterator[Fault]:
    """
    outbox, parts: why the disk refuses verdicts or open parts; empty when it does not.
    broker: the publisher's sentences, with what to do.
    """
    if outbox:
        yield Fault(
            "outbox_refuses",
            "outbox",
            f"{outbox}; verdicts wait in memory: make room, or check the disk and its owner",
        )
    for sentence in broker:
        yield Fault("broker", "broker", sentence)
    if stats.dropped:
        yield Fault(
            "outbox_dropped",
            "outbox",
            f"{stats.dropped} verdicts dropped unsent; repair the broker, or raise "
            "outbox.max_mb or outbox.max_age_h",
        )
    if stats.damaged:
        yield Fault(
            "outbox_damaged",
            "outbox",
            f"the file was damaged and set aside; {stats.salvaged} verdicts saved, at "
            f"most {stats.lost_at_most} lost; replace the SD card",
        )
    if stats.parked:
        yield Fault(
            "outbox_parked", "outbox", f"the broker refused {stats.parked} verdicts; see its log"
        )
    if parts:
        yield Fault(
            "parts_not_noted",
            "open parts",
            f"cannot be noted ({parts}); should the daemon be killed they get no verdict: make "
            "room, or check the folder's owner",
        )


def local_faults(socket: str) -> Iterator[Fault]:
    """`socket`: why the local socket is not there; empty when it is."""
    if socket:
        yield Fault("local_socket", "local socket", f"{socket}, then restart the daemon")


def recipe_faults(unusable: Iterable[tuple[str, str]], sentences: Iterable[str]) -> Iterator[Fault]:
    """unusable: cameras whose parts all get `error`, and why. sentences: what else is wrong."""
    for camera, why in unusable:
        yield Fault("no_recipe", f"camera {camera}", f"its parts get `error`: {why}")
    for sentence in sentences:
        yield Fault("recipes", "recipes", sentence)


def model_faults(sentences: Iterable[str]) -> Iterator[Fault]:
    """sentences: new versions that went back to the one before, or should."""
    for sentence in sentences:
        yield Fault("model_returned", "models", sentence)


def history_faults(stats: HistoryStats) -> Iterator[Fault]:
    """The verdicts that the box remembers. None of these faults delays or loses a verdict."""
    if stats.fault:
        lost = stats.not_remembered
        more = f"; {lost} verdicts were not remembered" if lost else ""
        yield Fault("history", "history", f"{stats.fault}{more}")
    if stats.damaged:
        yield Fault(
            "history_damaged",
            "history",
            f"the file was damaged and set aside; {stats.salvaged} verdicts saved so far; replace "
            "the SD card",
        )


def config_faults(problems: Sequence[str], restart_required: Sequence[str]) -> Iterator[Fault]:
    """problems: of a refused config.yaml. restart_required: keys that wait for a restart."""
    if problems:
        more = len(problems) - 1
        others = f" and {more} more" if more else ""
        yield Fault(
            "config_refused",
            "new configuration refused",
            f"{problems[0]}{others}; the old one runs",
        )
    elif restart_required:
        keys = ", ".join(restart_required)
        yield Fault(
            "restart_required",
            "config.yaml",
            f"{keys} changed: systemctl restart edge-inspect",
        )


def thread_faults(found: Iterable[ThreadFault]) -> Iterator[Fault]:
    """`found`: threads that failed. An ended vital one starves the watchdog, too."""
    for one in found:
        meaning = next((THREADS[name] for name in THREADS if one.name.startswith(name)), "")
        sentence = "; ".join(text for text in (one.why, meaning if one.ended else "") if text)
        fix = "restart the daemon, and report" if one.ended else "it goes on; report"
        yield Fault(
            "thread_ended" if one.ended and one.vital else "thread_failed",
            f"thread {one.name}",
            f"{sentence}; {fix} the traceback in the log",
        )


def plant_faults(pins: Iterable[str], accessories: Iterable[str]) -> Iterator[Fault]:
    """
    pins: the sentences of output pins that fail.
    accessories: of what failed beside a verdict, such as the archive.
    """
    for sentence in pins:
        yield Fault("output_pin", "outputs", f"{sentence}; check its wiring and the pin's number")
    for sentence in accessories:
        yield Fault("accessory", "verdicts", f"{sentence}; report the traceback in the log")


def evidence_faults(sentences: Iterable[str]) -> Iterator[Fault]:
    """`sentences`: of pictures that are not kept, or were lost, with what to do."""
    for sentence in sentences:
        yield Fault("evidence", "archive", sentence)


def machine_faults(state: HostState) -> Iterator[Fault]:
    """`state`: of the box. A value that is None is no fault."""
    disk, memory, power = state.disk, state.memory, state.power
    if disk.free_mb is not None and disk.free_mb < DISK_LOW_MB:
        yield Fault("disk_low", "disk", f"only {disk.free_mb:.0f} MB free; make room")
    if disk.read_only:
        yield Fault(
            "disk_read_only",
            "disk",
            "is mounted read-only, as Linux does after a write error; see dmesg, replace "
            "the SD card",
        )
    if disk.inodes_free_percent is not None and disk.inodes_free_percent < INODES_LOW_PERCENT:
        yield Fault(
            "disk_inodes",
            "disk",
            f"only {disk.inodes_free_percent:g} % of its inodes are free; delete small files",
        )
    if state.clock_synced is False:
        without = (
            "; without a battery clock the date is wrong after each power cut"
            if state.rtc is False
            else ""
        )
        yield Fault(
            "clock_not_set",
            "clock",
            f"not set by the network, so the times of verdicts may be wrong{without}; give the box "
            "a time server (/etc/systemd/timesyncd.conf)",
        )
    if state.hot:
        yield Fault("hot", "temperature", f"{state.temperature_c} °C; cool the box")
    if power.throttled:
        yield Fault("throttled", "processor", "is slowed down by heat or low voltage; cool the box")
    if power.under_voltage:
        yield Fault(
            "under_voltage", "power", "under-voltage now; use the maker's power supply and cable"
        )
    elif power.under_voltage_earlier:
        yield Fault(
            "under_voltage_earlier",
            "power",
            "there was under-voltage since the start; use the maker's power supply and cable",
        )
    if low := _memory(memory.available_mb, memory.used_percent, memory.pressure_percent):
        yield Fault("memory_low", "memory", f"{low}; lower the cameras' size, or give it more")


def _memory(available: float | None, used: float | None, pressure: float | None) -> str:
    if available is not None and available < MEMORY_LOW_MB:
        return f"only {available:.0f} MB are free"
    if used is not None and used > MEMORY_FULL_PERCENT:
        return f"{used:.0f} % of the service's limit (MemoryMax) are used"
    if pressure is not None and pressure > PRESSURE_PERCENT:
        return f"work waited for memory {pressure:.0f} % of the last minute"
    return ""
