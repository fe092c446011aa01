"""The disk of the outbox: a small file system that can be full or read-only, where the operating
system allows to mount one; otherwise a plain folder, with the limits of a process only."""

import os
import subprocess
from pathlib import Path

_MB = 16
PRIVATE_MOUNTS = ["unshare", "--mount", "--propagation", "private"]


def can_mount() -> bool:
    """Whether this user may mount file systems. They are mounted in a separate name space, which
    ends with the process."""
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
    """A plain folder, which cannot be made to fail."""

    def __init__(self, folder: Path) -> None:
        """Creates it, empty."""
        self.folder = folder
        folder.mkdir(parents=True)

    def fill(self) -> None:
        """Fills every block."""
        raise NotImplementedError

    def free(self) -> None:
        """Makes room again."""

    def break_down(self) -> None:
        """Refuses every write from now on, also to open files (EROFS)."""
        raise NotImplementedError

    def repair(self) -> None:
        """Makes it writable again. No process may use it."""

    def close(self) -> None:
        """Removes it."""


class Memory(Disk):
    """A tmpfs, which may be full."""

    def __init__(self, folder: Path) -> None:
        """Mounts it. Raises OSError."""
        super().__init__(folder)
        _run("mount", "-t", "tmpfs", "-o", f"size={_MB}m", "none", str(folder))

    def fill(self) -> None:
        """A filler takes the free blocks."""
        _fill(self.folder / "filler")

    def free(self) -> None:
        """Deletes the filler."""
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
        """A filler takes the free blocks."""
        self._full = True
        _fill(self.folder / "filler")

    def free(self) -> None:
        """Deletes the filler."""
        self._full = False
        (self.folder / "filler").unlink(missing_ok=True)

    def break_down(self) -> None:
        """As ext4 does on a fault of the device: an emergency remount, read-only."""
        _run("mount", "-o", "remount,abort", str(self.folder))

    def repair(self) -> None:
        """Unmounts, checks and mounts it again."""
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
        errors = done.stderr.decode(errors="replace").strip()
        raise OSError(f"{' '.join(command)}: {errors}")
