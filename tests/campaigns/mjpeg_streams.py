"""Sends random hostile MJPEG streams to real camera processes, then to the whole daemon.

`python -m tests.campaigns.mjpeg_streams --count 500` checks:

- a stream ends in pictures and one sentence, never in a traceback, a crash or a hang,
- a camera that only wraps its pictures wrongly is read, and no picture is made of two,
- neither the daemon, the fork server nor a camera process grows.

Exit code 1 when a rule was broken.
"""

import argparse
import contextlib
import logging
import os
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError
from tests.edge.capture.faulty import number_of, numbered
from tests.support.mosquitto import free_port
from tests.support.network_camera import MULTIPART, Request, as_part, network_camera, to_jpeg
from tests.support.plant import Daemon

MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"
_PICTURES = 64
_WARM_UP = 20  # streams before the first measurement
_READS = 8
_MOST_RSS_MB = 150.0  # of one camera process; 32 MB may be buffered
_HEADS = (
    b"HTTP/1.1 200 OK\r\n" + MULTIPART,
    b"HTTP/1.0 200 OK\r\n" + MULTIPART,
    b"HTTP/1.1 200 OK\nContent-Type: multipart/x-mixed-replace\n",
    b'HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary="--frame"\r\n',
    b"HTTP/1.1 200 OK\r\nContent-Type: Multipart/Mixed;boundary = 97fe87\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n",
    b"HTTP/1.1 200 OK\r\n",
)
_NO_STREAMS = (
    b"",
    b"\x00\xff" * 5000,
    b"HTTP/1.1 200 OK\r\n" + b"X" * 70_000,
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest " + b'realm="' * 900 + b"\r\n\r\n",
    b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="a",nonce="b",qop="auth"\r\n\r\n',
    b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>",
    b"HTTP/9 999\r\n\r\n",
)


class HostileStreams:
    """Serves stream number N at `/N`, or one after the other at any other path."""

    def __init__(self, seed: int) -> None:
        # BGR with little red, numbered, so that each can be recognised
        self._jpegs = [to_jpeg(numbered(n), progressive=n % 7 == 3) for n in range(_PICTURES)]
        self._seed = seed
        self.served = 0

    def __call__(self, client: socket.socket, request: Request) -> None:
        """Sends one stream in pieces of any size, then closes or resets the connection."""
        self.served += 1
        name = request.target.strip("/")
        dice = random.Random(f"{self._seed}:{name if name.isdigit() else self.served}")
        for piece in self.pieces(dice):
            client.sendall(piece)
        if dice.random() < 0.3:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def is_wrapped_only(self, number: int) -> bool:
        """Whether the stream has whole pictures only, however wrapped."""
        return random.Random(f"{self._seed}:{number}").random() < 0.3

    def pieces(self, dice: random.Random) -> Iterator[bytes]:
        """The bytes of a stream as they are sent."""
        whole = dice.random() < 0.3
        if not whole and dice.random() < 0.15:
            yield dice.choice(_NO_STREAMS)
            return
        head, chunked = dice.choice(_HEADS), dice.random() < 0.2
        newline = b"\n" if dice.random() < 0.3 else b"\r\n"
        yield head + (b"Transfer-Encoding: chunked\r\n" if chunked else b"") + b"\r\n"
        body = b"".join(self._part(dice, newline, whole=whole) for _ in range(dice.randint(5, 40)))
        while body:
            size = dice.choice([1, 100, 1460, 65_536, 10**6])
            piece, body = body[:size], body[size:]
            if chunked:
                length = b"%x" % len(piece) if whole or dice.random() < 0.99 else b"zz"
                piece = length + b"\r\n" + piece + b"\r\n"
            yield piece

    def _part(self, dice: random.Random, newline: bytes, *, whole: bool) -> bytes:
        jpeg = dice.choice(self._jpegs)
        lengths = [
            None,
            len(jpeg),
            len(jpeg) - 2,
            len(jpeg) + 2,
            len(jpeg) + 400,
            "4000000000",
            "x",
        ]
        if whole:
            return as_part(jpeg, length=dice.choice(lengths), newline=newline)
        body = bytearray(jpeg)
        for _ in range(dice.choice([0, 0, 1, 3])):
            at = dice.randrange(len(body))
            body[at : at + dice.choice([0, 1, 50, 5000])] = dice.randbytes(dice.choice([0, 1, 900]))
        if dice.random() < 0.1:
            body = bytearray(dice.choice([b"", b"\xff\xd8\xff", dice.randbytes(3000)]))
        delimiter = dice.choice([b"--frame", b"--frame", b"--other", b"", b"----"])
        return as_part(bytes(body), delimiter, length=dice.choice(lengths), newline=newline)


@dataclass
class Outcome:
    """What has happened so far."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    child_mb: float = 0.0


def read_stream(
    number: int, streams: HostileStreams, url: str, fork_server: ForkServerClient, found: Outcome
) -> None:
    """Opens one stream in a camera process and reads some pictures."""
    config = CameraConfig.read(
        {"id": "top", "source": f"{url}/{number}", "timeout_s": 30.0, "open_timeout_s": 60.0}
    )
    camera, good = IsolatedCamera(config, Clock(), fork_server), 0
    try:
        for _ in range(_READS):
            read = camera.read(StopEvent())
            assert read is not None
            if read.pixels is None:
                found.counts["damaged pictures"] += 1
            else:
                known = number_of(read.pixels // 128 * 255) if read.pixels.shape[0] == 48 else -1
                good += 1
                found.counts["pictures" if 0 <= known < _PICTURES else "changed pictures"] += 1
            with contextlib.suppress(psutil.Error):
                rss = psutil.Process(camera.pid).memory_info().rss / 2**20
                found.child_mb = max(found.child_mb, rss)
    except CameraError as error:
        text = str(error)
        found.counts["streams that ended with a sentence"] += 1
        if any(word in text for word in ("unexpected", "crashed", "invalid", "its process", "\n")):
            found.problems.append(f"stream {number}: {text}")
        if streams.is_wrapped_only(number) and not good:
            found.counts["whole streams over before the first request"] += 1
    finally:
        camera.close()


def processes(count: int, seed: int) -> list[str]:
    """Sends `count` streams to camera processes. Returns the broken rules."""
    streams, found = HostileStreams(seed), Outcome()
    with network_camera(streams) as server, ForkServerClient() as fork_server:
        url = server.url.rpartition("/")[0]

        def resources() -> tuple[float, int, int]:
            me = psutil.Process()
            memory = me.memory_info().rss + sum(c.memory_info().rss for c in me.children())
            return memory / 2**20, me.num_fds(), me.num_threads()

        since = time.monotonic()
        before = resources()
        for number in range(count + _WARM_UP):
            read_stream(number, streams, url, fork_server, found)
            if number == _WARM_UP:
                before = resources()
        after = resources()
    print(f"{count} streams in {time.monotonic() - since:.0f} s: {dict(found.counts)}")
    print(
        f"memory of this process and the fork server: {before[0]:.1f} to {after[0]:.1f} MB, "
        f"files {before[1]} to {after[1]}; the largest camera process {found.child_mb:.0f} MB"
    )
    if after[0] > before[0] + 10:
        found.problems.append(f"memory grew by {after[0] - before[0]:.1f} MB")
    if found.child_mb > _MOST_RSS_MB:
        found.problems.append(f"a camera process had {found.child_mb:.0f} MB")
    if not found.counts["pictures"]:
        found.problems.append("no picture was read: the run proves nothing")
    return found.problems


def whole_daemon(seconds: float, seed: int, cameras: int) -> list[str]:
    """Runs the daemon with cameras that send hostile streams. Returns the broken rules."""
    streams = HostileStreams(seed)
    with network_camera(streams) as server, tempfile.TemporaryDirectory() as name:
        section = {"source": server.url, "timeout_s": 5.0, "settle_steady": False}
        values = {
            "station": "line1",
            "model": {"path": str(MODEL)},
            "cameras": [{"id": f"c{n}", **section} for n in range(cameras)],
            "mqtt": {"port": free_port()},
        }
        daemon = Daemon(Path(name), values)
        daemon.start()
        assert daemon.process is not None
        process, samples = psutil.Process(daemon.process.pid), []
        until = time.monotonic() + seconds
        while time.monotonic() < until and daemon.process.poll() is None:
            time.sleep(1)
            with contextlib.suppress(psutil.Error):
                samples.append(process.memory_info().rss / 2**20)
        verdicts, code, log = daemon.last_seq(), daemon.stop(), daemon.log
    third = max(1, len(samples) // 3)
    grown = max(samples[-third:]) - max(samples[third : 2 * third] or samples)
    print(
        f"daemon: {streams.served} streams in {seconds:.0f} s, {verdicts} verdicts, exit {code}, "
        f"memory {samples[0]:.0f} to {samples[-1]:.0f} MB, in the last third {grown:+.1f} MB"
    )
    problems = [] if code == 0 else [f"the daemon ended with {code}"]
    problems += ["a traceback in the daemon's log"] if "Traceback" in log else []
    problems += ["the daemon had no stream"] if streams.served < cameras else []
    return problems + ([f"the daemon grew by {grown:.1f} MB"] if grown > 10 else [])


def main() -> int:
    """Exit code 1 when a rule was broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=500, help="streams to camera processes")
    parser.add_argument("--daemon-s", type=float, default=60.0, help="seconds of the whole daemon")
    parser.add_argument("--cameras", type=int, default=4, help="cameras of that daemon")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.getLogger("edge").setLevel(logging.CRITICAL)  # one sentence a stream
    with tempfile.TemporaryFile() as errors:
        kept = os.dup(2)
        os.dup2(errors.fileno(), 2)  # the camera processes write their tracebacks there
        try:
            problems = processes(arguments.count, arguments.seed)
        finally:
            os.dup2(kept, 2)
        errors.seek(0)
        log = errors.read().decode(errors="replace")
        if "Traceback" in log:
            problems.append(f"a traceback in a camera process: {log[-1500:]}")
    if arguments.daemon_s > 0:
        problems += whole_daemon(arguments.daemon_s, arguments.seed + 1, arguments.cameras)
    for text in problems[:20]:
        print("BROKEN:", text)
    print("all rules held" if not problems else f"{len(problems)} rules broken")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
