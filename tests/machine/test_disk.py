"""The disk of the power cut: what is flushed stays, what is not is at the mercy of chance."""

import random
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine.disk import SECTOR, CachedDisk, DiskServer

_SECTORS = 64


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A disk of zeros."""
    path = tmp_path / "disk"
    path.write_bytes(bytes(_SECTORS * SECTOR))
    return path


def test_only_what_is_flushed_survives(file: Path) -> None:
    """Before the cut all that was written is read; after it, only what was flushed."""
    disk = CachedDisk(file)
    disk.write(0, b"a" * SECTOR * 2)
    disk.flush()
    disk.write(SECTOR, b"b" * SECTOR * 2)
    assert disk.read(0, 3 * SECTOR) == b"a" * SECTOR + b"b" * SECTOR * 2
    assert disk.cut(0.0, random.Random(1)) == (2, 2)
    assert disk.read(0, 3 * SECTOR) == b"a" * SECTOR * 2 + bytes(SECTOR)
    disk.close()


def test_a_cut_may_keep_any_part(file: Path) -> None:
    """Each sector is kept or lost by itself, so that a long write may be torn."""
    disk = CachedDisk(file)
    disk.write(0, b"x" * SECTOR * _SECTORS)
    lost, total = disk.cut(0.5, random.Random(1))
    assert total == _SECTORS
    assert 0 < lost < total
    assert disk.read(0, _SECTORS * SECTOR).count(b"x") == (total - lost) * SECTOR
    disk.close()


def test_a_disk_that_lies_loses_what_was_flushed(file: Path) -> None:
    """It says that a flush is done, and has done nothing."""
    disk = CachedDisk(file, lies=True)
    disk.write(0, b"a" * SECTOR)
    disk.flush()
    assert disk.cut(0.0, random.Random(1)) == (1, 1)
    assert disk.read(0, SECTOR) == bytes(SECTOR)
    disk.close()


class Client:
    """Speaks NBD as QEMU does."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        assert self._take(18)[:8] == b"NBDMAGIC"
        self._socket.sendall(struct.pack(">I", 1))
        self._socket.sendall(struct.pack(">QII", 0x49484156454F5054, 7, 6) + bytes(6))
        replies: list[int] = []
        while not replies or replies[-1] != 1:
            _, _, kind, length = struct.unpack(">QIII", self._take(20))
            body = self._take(length)
            replies.append(kind)
            if kind == 3:
                self.size = struct.unpack(">HQH", body)[1]

    def ask(self, kind: int, start: int, length: int, data: bytes = b"", flags: int = 0) -> bytes:
        """One request and its answer. Raises OSError with the server's number."""
        head = struct.pack(">IHHQQI", 0x25609513, flags, kind, 7, start, length)
        self._socket.sendall(head + data)
        _, error, handle = struct.unpack(">IIQ", self._take(16))
        assert handle == 7
        if error:
            raise OSError(error, "refused")
        return self._take(length) if kind == 0 else b""

    def close(self) -> None:
        """As when the machine is killed."""
        self._socket.close()

    def _take(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            part = self._socket.recv(length - len(data))
            if not part:
                raise ConnectionError("the server has gone")
            data += part
        return data


@pytest.fixture
def served(file: Path, tmp_path: Path) -> Iterator[tuple[CachedDisk, DiskServer, Path]]:
    """A disk behind a socket."""
    disk = CachedDisk(file)
    server = DiskServer(disk, tmp_path / "socket")
    yield disk, server, tmp_path / "socket"
    server.close()
    disk.close()


def test_a_machine_reads_writes_and_flushes(
    served: tuple[CachedDisk, DiskServer, Path],
) -> None:
    """Over NBD; a write with FUA is durable by itself, what makes no sense is refused."""
    disk, server, path = served
    client = Client(path)
    assert client.size == _SECTORS * SECTOR
    client.ask(1, 0, SECTOR, b"a" * SECTOR)
    client.ask(3, 0, 0)
    client.ask(1, SECTOR, SECTOR, b"b" * SECTOR, flags=1)
    client.ask(1, 2 * SECTOR, SECTOR, b"c" * SECTOR)
    assert client.ask(0, 0, 3 * SECTOR) == b"a" * SECTOR + b"b" * SECTOR + b"c" * SECTOR
    with pytest.raises(OSError, match="refused"):
        client.ask(9, 0, 0)
    client.close()
    server.wait_for_end(20)
    assert disk.cut(0.0, random.Random(1)) == (1, 1)
    assert disk.flushes == 2


def test_the_cut_comes_with_a_write(served: tuple[CachedDisk, DiskServer, Path]) -> None:
    """The write that it comes with is in the cache and is never answered."""
    disk, server, path = served
    client, over = Client(path), threading.Event()
    server.cut_at(2, over.set)
    client.ask(1, 0, SECTOR, b"a" * SECTOR)
    client.ask(3, 0, 0)
    with pytest.raises(ConnectionError):
        client.ask(1, 0, SECTOR, b"b" * SECTOR)
    assert over.is_set()
    server.wait_for_end(20)
    assert disk.cut(0.0, random.Random(1)) == (1, 1)
    assert disk.read(0, SECTOR) == b"a" * SECTOR
    client.close()
