"""The local socket: its life, and refused HTTP requests. Its answers: tests/edge/plant/records."""

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from edge.cli.records_client import RecordsClient
from edge.core.clock import Clock
from edge.core.errors import TriggerError
from edge.core.unix_socket import connect
from edge.plant import RecordQuery
from edge.web import LocalSocket
from tests.support.records import NOON, RecordsOfABox
from tests.support.waiting import wait_until


@pytest.fixture
def box(tmp_path: Path) -> RecordsOfABox:
    """A box that remembers nothing yet."""
    return RecordsOfABox(tmp_path)


def choose_recipe(
    _transaction: str | None, fields: Mapping[str, Any], transport: str
) -> Future[Mapping[str, Any]]:
    """A box with recipe 7 only."""
    if fields.get("recipe") != 7:
        raise TriggerError("recipe 9 is not in config.yaml", "unknown")
    answer: Future[Mapping[str, Any]] = Future()
    answer.set_result({"recipe": 7, "by": transport})
    return answer


def made(box: RecordsOfABox) -> LocalSocket:
    """A socket over the box's records, not started."""
    outbox = box.folder / "outbox.db"
    return LocalSocket(
        LocalSocket.place(outbox, None),
        box.service(),
        outbox,
        Clock(lambda: NOON),
        choose_recipe=choose_recipe,
    )


@pytest.fixture
def serving(box: RecordsOfABox) -> Iterator[LocalSocket]:
    """A running one."""
    running = made(box)
    running.start()
    yield running
    running.close()
    running.join(10)


def ask(
    path: Path, method: str, address: str, body: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a request that no client of ours would send."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = connect(path, 20)
    connection.request(method, address, body)
    answer = connection.getresponse()
    found: dict[str, Any] = json.loads(answer.read())
    connection.close()
    return answer.status, found


def test_a_recipe_is_chosen_or_refused(serving: LocalSocket) -> None:
    """POST /api/v1/recipe: as POST /recipe on the port; the journal is told the way it came."""
    address = "/api/v1/recipe"
    chosen = ask(serving.path, "POST", address, b'{"recipe": 7}')
    assert chosen == (200, {"recipe": 7, "by": "local socket"})
    refused = ask(serving.path, "POST", address, b'{"recipe": 9}')
    assert refused == (404, {"error": "recipe 9 is not in config.yaml"})
    assert ask(serving.path, "POST", address, b"7")[0] == 400
    assert ask(serving.path, "POST", address + "?x=1", b'{"recipe": 7}')[0] == 400


def test_its_place(tmp_path: Path) -> None:
    """In systemd's runtime directory, else beside the outbox."""
    outbox = tmp_path / "outbox.db"
    assert LocalSocket.place(outbox, None) == tmp_path / "api.sock"
    assert LocalSocket.place(outbox, "/run/edge-inspect:/run/x") == Path(
        "/run/edge-inspect/api.sock"
    )


def test_it_goes_with_its_daemon(box: RecordsOfABox) -> None:
    """After the end the path is free; before a client came, and after."""
    for asked in (False, True):
        running = made(box)
        running.start()
        client = RecordsClient(running.path)
        if asked:
            assert client.serves(box.folder / "outbox.db")
        running.close()
        assert running.join(10)
        assert not running.path.exists()
        assert not client.serves(box.folder / "outbox.db")


def test_it_does_not_remove_the_socket_of_a_later_daemon(box: RecordsOfABox) -> None:
    """Whoever has replaced the file owns it."""
    running = made(box)
    running.start()
    running.path.unlink()
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(running.path))
    running.close()
    running.join(10)
    assert running.path.is_socket()
    other.close()


def test_a_foreign_file_costs_only_the_socket(box: RecordsOfABox) -> None:
    """The daemon goes on: `fault` has the sentence, and the file stays."""
    (box.folder / "api.sock").write_text("mine")
    running = made(box)
    running.start()
    assert running.fault.endswith("is no socket of edge-inspect and stays as it is; move it away")
    running.close()
    assert running.join(1)
    assert (box.folder / "api.sock").read_text() == "mine"


def test_a_client_of_another_box_is_told(serving: LocalSocket, box: RecordsOfABox) -> None:
    """A client finds out by the outbox that this is not the daemon it means."""
    client = RecordsClient(serving.path)
    assert client.serves(box.folder / "outbox.db")
    assert not client.serves(box.folder / "another.db")


def test_it_serves_nothing_else(serving: LocalSocket) -> None:
    """No route of the port, no other method; each answer is JSON."""
    for method, address, status in (
        ("GET", "/", 404),
        ("GET", "/healthz", 404),
        ("POST", "/predict", 404),
        ("POST", "/api/v1/history", 405),
        ("GET", "/api/v1/labels/undo", 405),
        ("GET", "/api/v1/history?colour=red", 400),
        ("GET", "/api/v1/history?since=never", 400),
        ("GET", "/api/v1/estimate?since=never", 400),
        ("GET", "/api/v1/verdicts/0199f000", 404),
        ("GET", "/api/v1/verdicts/0199f000?x=1", 400),
        ("GET", "/api/v1/verdicts/0199f000/picture?n=x", 400),
        ("GET", "/api/v1/verdicts/nonsense", 409),
    ):
        answered, body = ask(serving.path, method, address)
        assert (answered, bool(body["error"])) == (status, True), address


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body must be a JSON object in UTF-8"),
        (b"\xff", "the body must be a JSON object in UTF-8"),
        (b'{"ids":["a"],"ids":["b"]}', "the key 'ids' stands twice"),
        (b"[1]", "must hold keys and values"),
        (b'{"ids":"a","label":"x","by":"k"}', "ids: must be a list"),
        (b"[" * 100_000, "is nested too deeply"),
    ],
)
def test_a_body_that_is_no_request(serving: LocalSocket, body: bytes, words: str) -> None:
    """400 with the reason."""
    status, answer = ask(serving.path, "POST", "/api/v1/labels", body)
    assert status == 400
    assert words in answer["error"]


def test_too_large_a_body(serving: LocalSocket) -> None:
    """It is refused before it is read."""
    client = connect(serving.path, 20)
    client.sendall(b"POST /api/v1/labels HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
    assert client.recv(100).startswith(b"HTTP/1.1 413 ")
    client.close()


@pytest.mark.slow
def test_clients_that_read_nothing_do_not_hold_it_up(
    serving: LocalSocket, box: RecordsOfABox
) -> None:
    """Two clients ask for more than the kernel and the server buffer, and read nothing: they are
    disconnected, and the next one is served."""
    for n in range(5000):
        box.judge("pass", ago_s=9000 - n)
    stuck = []
    for _ in range(2):
        client = connect(serving.path, 20)
        client.sendall(b"GET /api/v1/history?limit=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        stuck.append(client)
    fields = {"limit": "1"}
    query = RecordQuery.read(fields, NOON)
    assert len(list(RecordsClient(serving.path).history(query))) == 1
    for client in stuck:
        client.close()


def test_two_processes_at_once(serving: LocalSocket, box: RecordsOfABox) -> None:
    """Answers do not mix: eight clients ask for different numbers of verdicts at once."""
    for n in range(40):
        box.judge("pass", ago_s=100 - n)
    counts: dict[int, int] = {}

    def count(number: int) -> None:
        query = RecordQuery.read({"limit": str(number)}, NOON)
        counts[number] = len(list(RecordsClient(serving.path).history(query)))

    threads = [threading.Thread(target=count, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert counts == {number: number for number in range(1, 9)}


@pytest.mark.slow
def test_nothing_is_loaded_before_a_client_comes(tmp_path: Path) -> None:
    """A box whose socket nobody uses does not pay for the HTTP server."""
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from edge.core.clock import Clock\nfrom edge.web import LocalSocket\n"
        "from tests.support.records import RecordsOfABox\n"
        "folder = Path(sys.argv[1])\n"
        "running = LocalSocket(folder / 'api.sock', RecordsOfABox(folder).service(),\n"
        "                      folder / 'outbox.db', Clock())\n"
        "running.start()\n"
        "assert running.path.is_socket()\n"
        "assert not {'waitress', 'werkzeug'} & set(sys.modules)\n"
        "from edge.cli.records_client import RecordsClient\n"
        "assert RecordsClient(running.path).serves(folder / 'outbox.db')\n"
        "assert {'waitress', 'werkzeug'} <= set(sys.modules)\n"
        "running.close()\nassert running.join(10)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


@pytest.mark.slow
def test_it_sleeps_until_a_client_comes(box: RecordsOfABox) -> None:
    """The thread waits in one sleep."""
    running = made(box)
    running.start()
    thread = next(one for one in threading.enumerate() if one.name == "api")
    status = Path(f"/proc/self/task/{thread.native_id}/status")

    def switches() -> int:
        lines = status.read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)

    wait_until(lambda: "S (sleeping)" in status.read_text())
    before = switches()
    assert thread.is_alive()
    thread.join(0.5)
    assert switches() - before <= 1
    running.close()
    assert running.join(10)
