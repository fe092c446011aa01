"""The way of a frame on one thread: from a picture's file through camera, mailbox, judge, outbox,
publisher and paho to a real broker and back to its PUBACK, in one order of events.

The parts are the daemon's own, built as `edge.app` builds them. Where a thread of the daemon would
wait for another, the other one's `run_once` is called instead: the publisher's inbox is that place.
The clock stands still but where frames come and where time is waited for, so that a fast machine
gathers as many verdicts in a commit as a slow one. So the same instructions are executed in each
run, and they can be counted.
"""

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from unittest.mock import patch

from edge.capture.sources import open_camera
from edge.config import Config, load_config
from edge.delivery import link
from edge.delivery.events import Event
from edge.delivery.inbox import Inbox, Wake
from edge.delivery.network import Network
from edge.deliveryside import DeliverySide
from edge.environment import Environment, Stop
from edge.inspection.framing import Framing
from edge.inspection.inspector import Inspector, load_inspector
from edge.line import Line
from edge.operation.viewing import view_of
from edge.picture import Encoded, open_picture
from edge.verdict import Verdict

Upto = Literal["bare", "judge", "message", "outbox", "broker"]
UPTO: tuple[Upto, ...] = get_args(Upto)
_PATIENCE_S = 5.0
_PUBACK_BYTES = 4  # of a message that somebody has subscribed to
_PERIOD_S = {True: 0.005, False: 0.1}  # from frame to frame: at full speed, and now and then
_STEP_S = 0.005


@dataclass(frozen=True, slots=True)
class Course:
    """How far frames go, and how many are judged before anything is stored and sent: 1 is a frame
    now and then, more is full speed, where one commit and one turn of each thread serve several.

    `bare` decodes, resizes and invokes alone. `judge` ends with a verdict, `message` with a body in
    the outbox's queue, `outbox` with its commit, `broker` with the PUBACK. `burden`: empty loops
    added to each verdict, to see that what is added is counted."""

    upto: Upto
    together: int = 1
    burden: int = 0


class _Clock:
    """Monotonic seconds that pass when they are told to."""

    def __init__(self) -> None:
        self._seconds = 1000.0

    def tick(self) -> float:
        """Seconds."""
        return self._seconds

    def pass_time(self, seconds: float) -> None:
        """So many go by."""
        self._seconds += seconds


class _Stepped(Network):
    """The same connection, moved by whoever waits for it."""

    _awaited = 1

    def open(self) -> None:
        """As `Network.open`, here and now."""
        self._connect()
        self.heard = self._wrote = self._fetched = self._tick()

    @property
    def alive(self) -> bool:
        """There is no thread that could end."""
        return True

    def close(self) -> None:
        """Ends it."""
        self._shut()

    def wait_for(self, size: int) -> None:
        """So many bytes must have come before it counts as readable: answers that arrive one by one
        would else be read in another number of turns each time."""
        if size == self._awaited:
            return
        self._awaited = size
        assert self._client.bypass is not None
        sock = self._client.bypass.raw
        assert isinstance(sock, socket.socket)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)


class _Meanwhile(Inbox):
    """Where the publisher waits: what the other threads would do meanwhile is done here."""

    def __init__(self, tick: Callable[[], float], others: Callable[[], None]) -> None:
        super().__init__(tick)
        self._others = others

    def next(self, seconds: float) -> Event | Wake | None:
        """The next event; there is always one."""
        while self.empty():
            self._others()
        return super().next(seconds)


def bare(config: Config, inspector: Inspector, frames: int) -> None:
    """The work that nobody can leave out: the picture is read, decoded, resized, invoked."""
    path = Path(config.cameras[0].rest)
    framing = Framing(view_of(config.cameras[0], inspector.input))
    header = open_picture(path).header
    for _ in range(frames):
        picture = Encoded(path.read_bytes(), path.name, header)
        pixels, reduced = inspector.decode(picture, framing)
        inspector.classify(inspector.prepare(pixels, reduced))


class FrameWay:
    """One camera that replays, one judge, one outbox in a file, one connection."""

    def __init__(self, config: Config, inspector: Inspector, course: Course) -> None:
        """Opens outbox and camera. `config` has one camera, of kind `replay`."""
        self._course = course
        self._stop = Stop()
        self._left = 0
        self._leaving = False
        self._network: _Stepped | None = None
        self._clock = _Clock()
        environment = Environment(tick=self._clock.tick)
        self._delivery = DeliverySide(config, "session", environment)
        self._writer, self._publisher = self._delivery.writer, self._delivery.publisher
        self._publisher._inbox = _Meanwhile(environment.tick, self._others)
        self._line = Line(
            config,
            inspector,
            environment,
            deliver=self._deliver,
            keep=lambda _frame, _verdict: None,
            receipts=self._delivery.receipts,
        )
        camera = config.cameras[0].id
        self._reader, self._worker = self._line.readers[camera], self._line.workers.of(camera)
        self._camera = open_camera(config.cameras[0], environment)

    def run(self, frames: int) -> None:
        """So many frames go as far as they are to. Raises RuntimeError when the connection ends
        before the broker has acknowledged them all."""
        self._left = frames
        if self._course.upto == "broker":
            with patch.object(link, "Network", self._new_network):
                self._publisher.run()
        while self._left:
            self._judge_some()
            if self._course.upto == "outbox":
                self._commit_and_forget()

    def _new_network(self, *arguments: Any, **named: Any) -> _Stepped:
        self._network = _Stepped(*arguments, **named)
        return self._network

    def _deliver(self, verdict: Verdict) -> None:
        for _ in range(self._course.burden):
            pass
        if self._course.upto != "judge":
            self._writer.submit(verdict)

    def _judge_some(self) -> None:
        for _ in range(min(self._left, self._course.together)):
            self._clock.pass_time(_PERIOD_S[self._course.together > 1])
            look = self._camera.read(self._stop)
            assert look is not None
            self._reader._take(look, waited_s=0.0)  # what its loop does with each look
            self._worker.judging.run_once(self._worker.mailbox.take(0))
            self._left -= 1

    def _commit(self) -> None:
        while not self._writer._write_is_due():
            self._clock.pass_time(_STEP_S)
        self._writer.run_once()

    def _commit_and_forget(self) -> None:
        before = self._writer.waiting.newest()
        self._commit()
        for seq in range(before + 1, self._writer.waiting.newest() + 1):
            self._writer.accept(seq)  # and so the next commit deletes it, as in the daemon

    def _others(self) -> None:
        """What the other threads do while the publisher waits for something to happen."""
        assert self._network is not None
        waits = self._publisher.state != "online" or not self._publisher._flight.empty
        if waits or self._leaving:
            self._network.wait_for(max(1, len(self._publisher._flight._sent) * _PUBACK_BYTES))
            if (end := self._network.run_once(_PATIENCE_S)) is not None:
                raise RuntimeError(f"the connection has ended ({end[0]})")
        elif self._left:
            self._judge_some()
            self._commit()
        else:
            self._leaving = True
            self._publisher.close(10.0, "done")


def main() -> None:
    """For `benchmarks.instructions`, which runs this under valgrind: `config.yaml` and, for each
    measurement, `upto:together:burden:frames`. Each runs in a child that begins from one state,
    with an outbox of its own; prints the child's process id a line."""
    config = load_config(Path(sys.argv[1]))
    inspector = load_inspector(config.model.path)
    for number, wanted in enumerate(sys.argv[2:]):
        upto, together, burden, frames = wanted.split(":")
        sys.stdout.flush()
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            if status:
                sys.exit(f"{wanted}: exit code {os.waitstatus_to_exitcode(status)}")
            print(child)
            continue
        course = next(Course(one, int(together), int(burden)) for one in UPTO if one == upto)
        path = config.outbox.path.with_name(f"{number}.db")
        outbox = config.outbox.replace(path=path)
        if course.upto == "bare":
            bare(config, inspector, int(frames))
        else:
            FrameWay(config.replace(outbox=outbox), inspector, course).run(int(frames))
        os._exit(0)


if __name__ == "__main__":
    main()
