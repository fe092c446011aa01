"""The path of a frame on one thread: from a picture's file through reader, mailbox, worker and
outbox writer to a committed row.

All parts are the daemon's own and are driven through their public methods alone. The camera is the
place where the reader's thread would wait for its source: there the worker and the writer run once.
The clock stands still except between frames, so that a fast machine gathers as many verdicts in a
commit as a slow one. So each run executes the same instructions, and they can be counted.

The publisher and the broker are not part of it; `edge-inspect bench` measures them.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edge.capture import Camera, CameraRead
from edge.capture.reader import Reader
from edge.capture.sources.replay import ReplayCamera
from edge.config import Config, load_config
from edge.core.clock import Clock, StopEvent
from edge.core.frame import Frame
from edge.core.image import EncodedPicture, open_picture
from edge.core.verdict import Verdict
from edge.inspection import Inspector, ViewCrop, load_inspector
from edge.mqtt import DeliveryService
from edge.pipeline import build_judge, view_of
from edge.pipeline.judges import Judges
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.worker import InspectionWorker

Stage = Literal["bare", "judge", "message", "outbox"]
STAGES: tuple[Stage, ...] = get_args(Stage)
_PERIOD_S = {True: 0.005, False: 0.1}  # from frame to frame: in batches, and one by one


@dataclass(frozen=True, slots=True)
class Course:
    """Where frames stop, and how many are committed together.

    last: `bare` reads, decodes, resizes and invokes; `judge` ends with a verdict, `message` with a
        body in the writer's buffer, `outbox` with its commit and its acknowledgement.
    batch: frames in one commit; 1 is a frame now and then, more is full speed.
    burden: empty loops added to each verdict, to see that additional work is counted.
    """

    last: Stage
    batch: int = 1
    burden: int = 0


class _Clock:
    """Monotonic seconds that pass only on request."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def tick(self) -> float:
        """Seconds."""
        return self.seconds


def run_bare(config: Config, inspector: Inspector, frames: int) -> None:
    """The work that no program can leave out: a picture is read, decoded, resized, invoked."""
    path = Path(config.cameras[0].rest)
    framing = ViewCrop(view_of(config.cameras[0], inspector.input))
    header = open_picture(path).header
    for _ in range(frames):
        picture = EncodedPicture(path.read_bytes(), path.name, header)
        pixels, _reduced = inspector.decode(picture, framing)
        inspector.classify(inspector.prepare(pixels))


class FrameWay:
    """One camera that replays a file, one worker, one outbox in a file. It is the `Camera` that the
    reader reads, and the sink to which the worker delivers."""

    live = False

    def __init__(self, config: Config, inspector: Inspector, course: Course) -> None:
        """Opens outbox and camera. `config` has one camera, of kind `replay`."""
        camera = config.cameras[0]
        self._course = course
        self._clock = _Clock()
        self._left = self._uncommitted = 0
        environment = Clock(tick=self._clock.tick)
        self._writer = DeliveryService(config, "session", environment).writer
        judge = build_judge(config, inspector, environment, config.decision.deadline_ms)
        self._worker = InspectionWorker(Mailbox(), Judges(judge), self, environment)
        self._camera: Camera = ReplayCamera(
            Path(camera.rest), camera.rate, camera.loop, environment
        )
        self._reader = Reader(camera, lambda: self, self._worker.mailbox, environment, StopEvent())

    def run(self, frames: int) -> None:
        """Takes `frames` frames to the end of the course. Raises RuntimeError when one fails."""
        self._left = frames
        self._reader.run()
        counts = self._worker.counts
        if self._reader.faults or counts["error"] or sum(counts.values()) != frames:
            raise RuntimeError(f"{frames} frames: {self._reader.why or counts}")

    def read(self, stop: StopEvent) -> CameraRead | None:
        """The next picture, after the worker and the writer have finished the one before."""
        if (frame := self._worker.mailbox.take(0)) is not None:
            self._worker.run_once(frame)
        if self._course.last == "outbox" and self._uncommitted == self._course.batch:
            self._commit()
        if not self._left:
            return None
        self._left -= 1
        self._clock.seconds += _PERIOD_S[self._course.batch > 1]
        return self._camera.read(stop)

    def close(self) -> None:
        """As `Camera`."""
        self._camera.close()

    def deliver(self, verdict: Verdict) -> None:
        """What the worker does with each verdict."""
        for _ in range(self._course.burden):
            pass
        if self._course.last != "judge":
            self._writer.submit(verdict)
            self._uncommitted += 1

    def keep(self, frames: Sequence[Frame], verdict: Verdict) -> None:
        """No picture is archived."""

    def keeps_all_frames(self) -> bool:
        """No picture is archived."""
        return False

    def _commit(self) -> None:
        before = self._writer.send_queue.newest()
        self._writer.flush(0.0)  # the commit is due now
        self._writer.run_once()
        for seq in range(before + 1, self._writer.send_queue.newest() + 1):
            self._writer.accept(seq)  # so the next commit deletes it, as in the daemon
        self._uncommitted = 0


def main() -> None:
    """For `benchmarks.instructions`, which runs this under valgrind. Arguments: `config.yaml` and,
    for each measurement, `last:batch:burden:frames`. Each runs in a child that begins from the same
    state, with its own outbox; prints each child's process id on a line."""
    config = load_config(Path(sys.argv[1]))
    inspector = load_inspector(config.model.path)
    for number, wanted in enumerate(sys.argv[2:]):
        last, batch, burden, frames = wanted.split(":")
        sys.stdout.flush()
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            if status:
                sys.exit(f"{wanted}: exit code {os.waitstatus_to_exitcode(status)}")
            print(child)
            continue
        course = next(Course(one, int(batch), int(burden)) for one in STAGES if one == last)
        path = config.outbox.path.with_name(f"{number}.db")
        if course.last == "bare":
            run_bare(config, inspector, int(frames))
        else:
            outbox = config.outbox.replace(path=path)
            FrameWay(config.replace(outbox=outbox), inspector, course).run(int(frames))
        os._exit(0)


if __name__ == "__main__":
    main()
