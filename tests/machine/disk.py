"""A disk with a write cache that a power cut empties, served to QEMU over NBD.

What the machine has flushed stays. Of what it wrote since its last flush, each sector is kept or
lost at a cut by the toss of a coin, as in a drive that writes its cache back in any order; or all
of it is lost. QEMU's SIGKILL alone would cut nothing: this machine's kernel keeps what was written.
"""

import contextlib
import os
import random
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

SECTOR = 512
_MAGIC, _OPTION, _REPLY = 0x4E42444D41474943, 0x49484156454F5054, 0x3E889045565A9
_REQUEST, _ANSWER = struct.Struct(">IHHQQI"), struct.Struct(">IIQ")
_EXPORT_NAME, _ABORT, _LIST, _INFO, _GO = 1, 2, 3, 6, 7
_ACK, _INFO_REPLY, _UNSUPPORTED = 1, 3, 0x80000001
_READ, _WRITE, _DISCONNECT, _FLUSH = 0, 1, 2, 3
_FLAGS = 1 | 4 | 8  # there are flags; FLUSH and FUA are understood
_FUA = 1
_EIO, _EINVAL = 5, 22


class CachedDisk:
    """A file of whole sectors behind a write cache in memory. One thread at a time uses it."""

    def __init__(self, path: Path, *, lies: bool = False) -> None:
        """`lies`: answers a flush as if it were done, as bad cards do, and keeps all in memory."""
        self._file = os.open(path, os.O_RDWR)
        self._lies = lies
        self._cache: dict[int, bytes] = {}
        self.size = os.fstat(self._file).st_size
        self.flushes = 0

    def read(self, start: int, length: int) -> bytes:
        """As the machine sees it. `start` and `length` are bytes, multiples of 512."""
        data = bytearray(os.pread(self._file, length, start))
        if self._cache:
            for n in range(length // SECTOR):
                sector = self._cache.get(start // SECTOR + n)
                if sector is not None:
                    data[n * SECTOR : (n + 1) * SECTOR] = sector
        return bytes(data)

    def write(self, start: int, data: bytes) -> None:
        """Into the cache."""
        for n in range(len(data) // SECTOR):
            self._cache[start // SECTOR + n] = data[n * SECTOR : (n + 1) * SECTOR]

    def flush(self) -> None:
        """The cache is on the disk from now on, unless this disk lies."""
        self.flushes += 1
        if not self._lies:
            self._keep(list(self._cache))
            self._cache.clear()

    def cut(self, keep: float, chance: random.Random) -> tuple[int, int]:
        """The power goes: each sector of the cache is kept with the probability `keep`, else lost.
        Returns how many were lost, of how many."""
        kept = [number for number in self._cache if chance.random() < keep]
        total = len(self._cache)
        self._keep(kept)
        self._cache.clear()
        return total - len(kept), total

    def close(self) -> None:
        """Closes the file; the cache is lost."""
        os.close(self._file)

    def _keep(self, numbers: list[int]) -> None:
        for number in numbers:
            os.pwrite(self._file, self._cache[number], number * SECTOR)


class DiskServer:
    """Serves one disk to one machine after the other, on a Unix socket."""

    def __init__(self, disk: CachedDisk, path: Path) -> None:
        """Starts to listen."""
        self._disk = disk
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._left = 0
        self._cut: Callable[[], None] = lambda: None
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._run, name="disk", daemon=True).start()

    def cut_at(self, write: int, cut: Callable[[], None]) -> None:
        """The power goes with the `write`th write from now: it is in the cache, and `cut` is called
        before it is answered."""
        self._cut, self._left = cut, write

    def wait_for_end(self, timeout_s: float) -> None:
        """Until the machine's connection is over: nothing more is written. Raises TimeoutError."""
        if not self._idle.wait(timeout_s):
            raise TimeoutError("the machine still holds its disk")

    def close(self) -> None:
        """Listens no longer."""
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._idle.clear()
            with connection, contextlib.suppress(ConnectionError):
                if self._agree(connection):
                    while self._serve(connection):
                        pass
            self._idle.set()

    def _agree(self, connection: socket.socket) -> bool:
        """The handshake; False when the other side gives up."""
        connection.sendall(struct.pack(">QQH", _MAGIC, _OPTION, 1))  # fixed newstyle
        _take(connection, 4)
        while True:
            _, option, length = struct.unpack(">QII", _take(connection, 16))
            _take(connection, length)
            if option == _EXPORT_NAME:
                connection.sendall(struct.pack(">QH124x", self._disk.size, _FLAGS))
                return True
            if option in (_INFO, _GO):
                body = struct.pack(">HQH", 0, self._disk.size, _FLAGS)
                _reply(connection, option, _INFO_REPLY, body)
                _reply(connection, option, _ACK)
                if option == _GO:
                    return True
            elif option == _ABORT:
                _reply(connection, option, _ACK)
                return False
            else:
                _reply(connection, option, _UNSUPPORTED)

    def _serve(self, connection: socket.socket) -> bool:
        """One request; False after the last."""
        _, flags, kind, handle, start, length = _REQUEST.unpack(_take(connection, _REQUEST.size))
        data, error = b"", 0
        if kind == _DISCONNECT:
            return False
        if kind == _FLUSH:
            self._disk.flush()
        elif kind not in (_READ, _WRITE) or start % SECTOR or length % SECTOR:
            error = _EINVAL
            _take(connection, length if kind == _WRITE else 0)
        elif kind == _READ:
            data = self._disk.read(start, length)
            error = 0 if len(data) == length else _EIO
        else:
            self._disk.write(start, _take(connection, length))
            if self._left:
                self._left -= 1
                if not self._left:
                    self._cut()
                    return False
            if flags & _FUA:
                self._disk.flush()
        connection.sendall(_ANSWER.pack(0x67446698, error, handle) + (b"" if error else data))
        return True


def _reply(connection: socket.socket, option: int, kind: int, body: bytes = b"") -> None:
    connection.sendall(struct.pack(">QIII", _REPLY, option, kind, len(body)) + body)


def _take(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise ConnectionError("the machine has gone")
        data += part
    return bytes(data)
