"""HTTP attacks on the whole daemon: a bad request is refused or waits, memory is freed, and no
verdict is late."""

import http.client
import io
import json
import random
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from tests.support.mosquitto import free_port
from tests.support.plant import Daemon, Plant, draw
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

pytestmark = pytest.mark.broker
SEED = 20261123
MB = 2**20


@dataclass
class HttpDaemon:
    """A daemon that judges a live camera, and its web port."""

    daemon: Daemon
    plant: Plant
    port: int

    def memory(self) -> int:
        """Resident memory of the daemon, in bytes."""
        assert self.daemon.process is not None
        return int(psutil.Process(self.daemon.process.pid).memory_info().rss)

    def open_files(self) -> int:
        """The number of open files, sockets included."""
        assert self.daemon.process is not None
        return psutil.Process(self.daemon.process.pid).num_fds()

    def post(self, data: bytes, timeout: float = 60.0) -> tuple[int, bytes]:
        """Sends `data` as a picture to /predict; returns status and body of the answer."""
        mark = uuid.uuid4().hex
        body = io.BytesIO()
        field = 'Content-Disposition: form-data; name="image"; filename="x.png"'
        body.write(f"--{mark}\r\n{field}\r\n\r\n".encode())
        body.write(data + f"\r\n--{mark}--\r\n".encode())
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            kind = {"Content-Type": f"multipart/form-data; boundary={mark}"}
            connection.request("POST", "/predict", body.getvalue(), kind)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def goes_on(self) -> None:
        """Waits for ten more verdicts of the live camera; none is an error."""
        before = len(self.plant.bodies("result"))
        wait_until(lambda: len(self.plant.bodies("result")) >= before + 10, "ten more verdicts")
        assert all(body["verdict"] != "error" for body in self.plant.bodies("result"))
        assert "Traceback" not in self.daemon.log


@pytest.fixture
def http_daemon(make_daemon: MakeDaemon, plant: Plant) -> Iterator[HttpDaemon]:
    """A running daemon."""
    web = free_port()
    sections = {"web": {"enabled": True, "port": web, "max_mb": 4}}
    # the test picture moves; at this size nothing about it may look wrong
    daemon = make_daemon("test:", fps=10, width=320, height=240, sections=sections)
    daemon.start()
    plant.wait_for_results(5)
    yield HttpDaemon(daemon, plant, web)
    assert daemon.stop() == 0


def encoded(pixels: np.ndarray, kind: str = ".png") -> bytes:
    """A picture file."""
    done, data = cv2.imencode(kind, pixels)
    assert done
    return data.tobytes()


def test_fuzzed_pictures_are_answered_one_by_one(http_daemon: HttpDaemon, tmp_path: Path) -> None:
    """Cut, flipped, mixed and random picture files get 200 or 400 with a sentence."""
    chance = random.Random(SEED)
    shown = np.random.default_rng(SEED).integers(0, 256, (48, 64, 3), np.uint8)
    seeds = [encoded(shown, kind) for kind in (".png", ".jpg", ".bmp")]
    seeds.append(draw(tmp_path / "a.png", 90).read_bytes())
    for number in range(400):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(0, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.3:
            data = data[: chance.randrange(len(data))]
        if chance.random() < 0.1:
            data = bytearray(chance.randbytes(chance.randrange(2000)))
        status, body = http_daemon.post(bytes(data))
        assert status in (200, 400), (number, status, body)
        said = json.loads(body)
        assert status == 200 or said["error"], number
    http_daemon.goes_on()


def test_bombs_go_off_one_at_a_time(http_daemon: HttpDaemon) -> None:
    """A file of a few kilobytes holds 64 megapixels. Eight at once use the memory of one, and it is
    freed. A file that states a larger size is refused before decoding."""
    bomb = encoded(np.zeros((4000, 16_000), np.uint8))
    assert len(bomb) < MB
    before, peak = http_daemon.memory(), 0
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(http_daemon.post(bomb, 300)[0]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, http_daemon.memory())
    for thread in threads:
        thread.join()
    assert answers == [200] * 8
    assert peak - before < 500 * MB  # one is 192 MB of pixels, and what decoding needs beside it
    wait_until(lambda: http_daemon.memory() - before < 100 * MB, "the memory is given back")
    header = bytearray(bomb)
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    status, body = http_daemon.post(bytes(header))
    assert status == 400
    assert "too large" in json.loads(body)["error"]
    http_daemon.goes_on()


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_a_gigabyte_is_refused_long_before_it_is_there(
    http_daemon: HttpDaemon, announced: bool
) -> None:
    """A body that is too large gets 413 or a closed connection after a few megabytes, and no memory
    stays in use."""
    before, sent = http_daemon.memory(), 0
    how = f"Content-Length: {2**30}" if announced else "Transfer-Encoding: chunked"
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n{how}\r\n\r\n"
    block = bytes(2**16)
    with socket.create_connection(("127.0.0.1", http_daemon.port), 30) as client:
        client.sendall(head.encode())
        client.settimeout(30)
        try:
            while sent < 2**30:
                part = block if announced else b"10000\r\n" + block + b"\r\n"
                client.sendall(part)
                sent += len(block)
        except OSError:
            pass  # it does not listen any more
        try:
            answer = client.recv(4096)
        except OSError:
            answer = b""  # it was lost with what was still on its way
    assert sent < 64 * MB
    assert not answer or b" 413 " in answer.split(b"\r\n")[0]
    assert http_daemon.memory() - before < 64 * MB
    http_daemon.goes_on()


@pytest.mark.campaign
def test_clients_that_hold_their_places(http_daemon: HttpDaemon) -> None:
    """More connections than places send half a request and then a few bytes at times. The verdicts
    go on, and a complete request is served when places are free again."""
    before = http_daemon.open_files()
    held = []
    for _ in range(36):
        client = socket.create_connection(("127.0.0.1", http_daemon.port), 30)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        held.append(client)
    assert http_daemon.open_files() - before <= 40
    http_daemon.goes_on()
    asked = threading.Event()

    def drip() -> None:
        while not asked.wait(2.0):
            for client in held:
                try:
                    client.sendall(b"X: y\r\n")
                except OSError:
                    continue

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", http_daemon.port, timeout=120)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        asked.set()
        dripping.join()
        for client in held:
            client.close()
    wait_until(lambda: http_daemon.open_files() <= before + 1, "the connections are gone")
    http_daemon.goes_on()
