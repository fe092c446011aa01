"""The disk under the outbox: a small file system of its own that can be full or read-only, where
the operating system lets us mount one; otherwise a plain folder, and only the limits of a
process."""

import os
import subprocess
from pathlib import Path

_MB = 16
PRIVATE_MOUNTS = ["unshare", "--mount", "--propagation", "private"]


def can_mount() -> bool:
    """Whether this user may mount file systems of its own. They are made in a name space of their
    own, so that none is left when the process has gone."""
    if os.geteuid() != 0:
        return False
    probe = "mount -t tmpfs -o size=64k none /mnt"
    try:
        tried = subprocess.run(
            [*PRIVATE_MOUNTS, "sh", "-c", probe], capture_output=True, check=False, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return tried.returncode == 0


class Disk:
    """A plain folder. Nothing can be done to it."""

    def __init__(self, folder: Path) -> None:
        """Makes it, empty."""
        self.folder = folder
        folder.mkdir(parents=True)

    def fill(self) -> None:
        """Not one block is free afterwards."""
        raise NotImplementedError

    def free(self) -> None:
        """There is room again."""

    def break_down(self) -> None:
        """Every write is refused from now on, also to files that are open (EROFS)."""
        raise NotImplementedError

    def mend(self) -> None:
        """As after a technician: whoever uses it must have ended before."""

    def close(self) -> None:
        """Away with it; what is to be kept was copied."""


class Memory(Disk):
    """A tmpfs, which may be full."""

    def __init__(self, folder: Path) -> None:
        """Mounts it. Raises OSError."""
        super().__init__(folder)
        _run("mount", "-t", "tmpfs", "-o", f"size={_MB}m", "none", str(folder))

    def fill(self) -> None:
        """A filler takes what is left."""
        _fill(self.folder / "filler")

    def free(self) -> None:
        """The filler goes."""
        (self.folder / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmounts it, busy or not."""
        _run("umount", "-l", str(self.folder))


class Card(Disk):
    """An ext4 in a file, as on an SD card: on a fault its kernel refuses every further write."""

    def __init__(self, folder: Path) -> None:
        """Formats and mounts it. Raises OSError."""
        super().__init__(folder)
        self._image = folder.with_suffix(".img")
        self._full = False
        with self._image.open("wb") as file:
            file.truncate(_MB * 2**20)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        self._mount()

    def fill(self) -> None:
        """A filler takes what is left."""
        self._full = True
        _fill(self.folder / "filler")

    def free(self) -> None:
        """The filler goes."""
        self._full = False
        (self.folder / "filler").unlink(missing_ok=True)

    def break_down(self) -> None:
        """ext4's own way to try out a fault of the device: an emergency remount, read-only."""
        _run("mount", "-o", "remount,abort", str(self.folder))

    def mend(self) -> None:
        """Unmounted, checked, mounted again."""
        _run("umount", str(self.folder))
        subprocess.run(
            ["e2fsck", "-p", str(self._image)], check=False, capture_output=True, timeout=60
        )
        self._mount()
        if not self._full:
            self.free()  # a fault soon after may have brought the filler back

    def close(self) -> None:
        """Unmounts it, busy or not, and deletes the image."""
        _run("umount", "-l", str(self.folder))
        self._image.unlink()

    def _mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.folder))


def _fill(path: Path) -> None:
    size = 2**20
    with path.open("ab", buffering=0) as file:
        while size >= 512:
            try:
                if file.write(b"\0" * size) < size:
                    raise OSError  # noqa: TRY301  a short write is the end as well
                os.fsync(file.fileno())
            except OSError:
                size //= 2


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise OSError(f"{' '.join(command)}: {said}")
