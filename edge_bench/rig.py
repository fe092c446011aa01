"""The test rig: broker, outbox folder and pictures for one daemon after another."""

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from edge.config import Config, names_model
from edge.core.terms import Runtime
from edge_bench.broker import Broker, running_broker
from edge_bench.daemon_config import Setting, write_daemon_config
from edge_bench.daemon_process import DaemonProcess, outbox_folder
from edge_bench.listener import Listener
from edge_bench.plan import OWN, SIZES, Plan
from edge_bench.worker_pipe import Answer, WorkerPipe, run_worker


@dataclass(frozen=True, slots=True)
class ImageSet:
    """The pictures of one size. `raw` is None for an odd width, which YUYV does not allow."""

    size: str
    width: int
    height: int
    jpegs: tuple[Path, ...]
    raw: Path | None
    jpeg_kb: float
    left_out: int

    @property
    def folder(self) -> Path:
        """The folder for `replay:`."""
        return self.jpegs[0].parent


class Rig:
    """A context manager. Its end removes all files, also after Ctrl-C and SIGTERM."""

    def __init__(self, config: Config, plan: Plan, progress: Callable[[str], None]) -> None:
        """Only stores the arguments. `progress` is called with each step."""
        self.config, self.plan, self.progress = config, plan, progress
        self._stack = contextlib.ExitStack()
        self._runs = 0
        self.image_sets: dict[str, ImageSet] = {}  # by size

    def __enter__(self) -> "Rig":
        """Raises MissingPartError without a broker."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(_sigterm_as_interrupt())
            self.folder = Path(tempfile.mkdtemp(prefix="edge-inspect-bench-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.outbox, self.on_its_disk = stack.enter_context(
                outbox_folder(self.config.outbox.path)
            )
            self.broker: Broker = stack.enter_context(running_broker(self.folder))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def pictures(self, size: str) -> ImageSet:
        """The pictures of one size, written at the first call. Raises EdgeInspectError."""
        if size not in self.image_sets:
            self.progress(f"pictures, {size}")
            width, height = SIZES.get(size, (None, None))
            source = self.plan.pictures
            response = run_worker(
                "edge_bench.images",
                {
                    "folder": str(self.folder / f"pictures-{size}"),
                    "count": self.plan.picture_count,
                    "width": width if size != OWN else None,
                    "height": height if size != OWN else None,
                    "pictures": str(source) if source else None,
                },
            )
            self.image_sets[size] = ImageSet(
                size,
                response["width"],
                response["height"],
                tuple(Path(file) for file in response["jpeg"]),
                Path(response["raw"]) if response["raw"] else None,
                response["jpeg_kb"],
                response["left_out"],
            )
        return self.image_sets[size]

    @contextlib.contextmanager
    def daemon(
        self,
        setting: Setting,
        *,
        port: int | None = None,
        module: str = "edge",
        notify: Path | None = None,
    ) -> Iterator[DaemonProcess]:
        """Starts a daemon. `port` replaces the port of the rig's broker."""
        path = self._write_config(setting, port or self.broker.port)
        topic = f"{self.config.mqtt.prefix}/{setting.station}/health"
        process = DaemonProcess(path, Listener(self.broker.port, topic), module, notify)
        try:
            yield process
        finally:
            process.close()
            shutil.rmtree(self.outbox / path.parent.name, ignore_errors=True)

    def _write_config(self, setting: Setting, port: int) -> Path:
        """Writes config.yaml of a new daemon, with a new folder and outbox."""
        self._runs += 1
        folder = self.folder / f"run-{self._runs}"
        folder.mkdir()
        outbox = self.outbox / folder.name
        outbox.mkdir()
        return write_daemon_config(self.config, setting, folder, outbox / "outbox.db", port)

    def bare(
        self, interpreter: Runtime, pictures: ImageSet | None = None, **request: Any
    ) -> Answer:
        """The bare work in a worker process. Without pictures it only loads the model."""
        return run_worker(
            "edge_bench.lower_bound", self._bare_request(interpreter, pictures, request)
        )

    def bare_loop(self, interpreter: Runtime, pictures: ImageSet) -> WorkerPipe:
        """The bare work on JPEGs in a worker process, in turns."""
        return WorkerPipe(
            "edge_bench.lower_bound",
            self._bare_request(interpreter, pictures, {"format": "jpeg", "in_turns": True}),
        )

    def baseline_script(self, runtime: str, pictures: ImageSet) -> WorkerPipe:
        """The baseline script in a worker process, in turns."""
        return WorkerPipe(
            "edge_bench.baseline_script",
            {
                "model": str(_model_file(self.config)),
                "runtime": runtime,
                "files": [str(file) for file in pictures.jpegs],
                "port": self.broker.port,
                "topic": "baseline/result",
            },
        )

    def _bare_request(
        self, interpreter: Runtime, pictures: ImageSet | None, request: dict[str, Any]
    ) -> dict[str, Any]:
        setting = Setting(({"id": "none", "source": "test:"},), interpreter)
        full_request = {**request, "config": str(self._write_config(setting, self.broker.port))}
        if pictures is not None:
            raw = request["format"] == "yuyv"
            files = [pictures.raw] if raw else list(pictures.jpegs)
            full_request["files"] = [str(file) for file in files]
            full_request |= {"width": pictures.width, "height": pictures.height}
        return full_request


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM ends the bench like Ctrl-C, so that every `finally` runs."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _model_file(config: Config) -> Path:
    """The file that `model.path` names. Raises RefusedError when no version of the name is
    active."""
    if not names_model(config.model.path):
        return config.model.path
    from edge.models import model_path  # imports OpenCV, which the measuring process does without

    return model_path(config)
