"""`folder:` judges every picture that is dropped there, once, also across restarts.

A file is taken when its size and time have rested between two looks; a file renamed into the
folder is taken at the second look. What was judged is written down by the outbox in the same
commit as the verdict (the receipt), so a killed daemon neither skips nor repeats a file.
"""

from collections.abc import Callable
from pathlib import Path

from edge.capture.camera import Look, item_name
from edge.environment import Environment, Stop
from edge.errors import CameraError, PictureError
from edge.picture import is_picture_name, read_picture

_LOOK_S = 0.2
_DAMAGED_WAIT_S = 5.0  # a picture that ends too early may still be on its way


class FolderCamera:
    """Watches one folder, not those below it. `judged` answers whether a receipt is stored."""

    live = False

    def __init__(self, path: Path, judged: Callable[[str], bool], environment: Environment) -> None:
        """Raises CameraError when the folder does not exist."""
        if not path.is_dir():
            raise CameraError(f"folder: {path} is no folder; create it, or correct the source")
        self._path = path
        self._judged = judged
        self._environment = environment
        self._done: set[str] = set()
        self._seen: dict[str, tuple[str, float]] = {}  # name -> receipt, seen since
        self._ready: list[tuple[str, str]] = []
        self._next_look = environment.tick()

    def read(self, stop: Stop) -> Look | None:
        """The next complete picture, oldest first; a bad one is a Look with its fault."""
        while not stop.is_set():
            while self._ready:
                name, receipt = self._ready.pop(0)
                look = self._take(name, receipt)
                if look is not None:
                    return look
            # Looks stand apart: a file rests between two of them, a damaged one makes none spin.
            if stop.wait(max(0.0, self._next_look - self._environment.tick())):
                return None
            self._next_look = self._environment.tick() + _LOOK_S
            self._look_around()
        return None

    def close(self) -> None:
        """Nothing is held open."""

    def _look_around(self) -> None:
        """Finds files that rest; raises CameraError when the folder is gone."""
        now = self._environment.tick()
        found: list[tuple[int, str, str]] = []
        try:
            for path in self._path.iterdir():
                if not is_picture_name(path) or not path.is_file():
                    continue
                stat = path.stat()
                receipt = f"{item_name(path.name)}|{stat.st_size}|{stat.st_mtime_ns}"
                found.append((stat.st_mtime_ns, path.name, receipt))
        except FileNotFoundError as error:
            if not self._path.is_dir():
                raise CameraError(f"folder: {self._path} has gone; create it again") from error
            return  # a file went between the listing and its stat: look again
        except OSError as error:
            raise CameraError(f"folder: {self._path}: {error.strerror}") from error
        names = {name for _, name, _ in found}
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        self._done &= {receipt for _, _, receipt in found}
        for _, name, receipt in sorted(found):
            if receipt in self._done:
                continue
            before = self._seen.get(name)
            if before is None or before[0] != receipt:
                self._seen[name] = (receipt, now)
            else:
                self._ready.append((name, receipt))

    def _take(self, name: str, receipt: str) -> Look | None:
        if receipt in self._done:
            return None
        if self._judged(receipt):
            self._done.add(receipt)
            return None
        path = self._path / name
        try:
            pixels = read_picture(path)
        except PictureError as error:
            rested = self._environment.tick() - self._seen.get(name, ("", 0.0))[1]
            if rested < _DAMAGED_WAIT_S or not path.exists():
                return None
            self._done.add(receipt)
            return Look(None, item_name(name), receipt, item_name(str(error)))
        self._done.add(receipt)
        return Look(pixels, item_name(name), receipt)
