"""A web server on a free loopback port, and a client that speaks plain HTTP."""

import http.client
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edge.config import CameraConfig
from edge.config.schema import WebConfig
from edge.core.clock import Clock
from edge.core.errors import TriggerError
from edge.pipeline.judge import Judge, Provenance
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.view_selection import choose_camera, image_profiles
from edge.plant.trigger_requests import TriggerRequests
from tests.conftest import Require
from tests.support.healthy_components import HealthyComponents
from tests.support.scripted_model import ScriptedModel, inspector_with

TOP = CameraConfig(id="top", source="test:")


class Client:
    """A plain HTTP client."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.headers: dict[str, str] = {}

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {**self.headers, **headers})
            answer = connection.getresponse()
            received = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, received, answer.read()
        finally:
            connection.close()

    def upload(
        self, data: bytes, field: str = "image", name: str = "part7.png", camera: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """POST /predict with a picture as a browser's form sends it; status and JSON."""
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"'
        body = f"{head}\r\n\r\n".encode() + data + b"\r\n"
        if camera is not None:
            header = f'Content-Disposition: form-data; name="camera"\r\n\r\n{camera}'
            body += f"--{mark}\r\n{header}\r\n".encode()
        body += f"--{mark}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        status, _, answer = self.ask("POST", "/predict", body, **kind)
        return status, json.loads(answer)


Serve = Callable[..., Client]


def choose_recipe(
    _transaction: str | None, fields: Mapping[str, Any], transport: str
) -> Future[Mapping[str, Any]]:
    """As `RecipeRequests.handle`: only recipe 7 exists."""
    answer: Future[Mapping[str, Any]] = Future()
    if fields.get("recipe") == 7:
        answer.set_result({"recipe": {"number": 7, "name": "cap"}, "by": transport})
    else:
        answer.set_exception(TriggerError("recipe 9 is not in config.yaml", "unknown"))
    return answer


@pytest.fixture
def house(environment: Clock, tmp_path: Path) -> HealthyComponents:
    """Healthy components."""
    return HealthyComponents(environment, tmp_path)


@pytest.fixture
def serve(
    environment: Clock, house: HealthyComponents, require: Require, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Serve]:
    """`serve(token_file=…, max_mb=…, model=…)`: a running server's client."""
    for module in ("waitress", "werkzeug", "prometheus_client"):
        require(module, "pip install '.[web]'")
    from edge.web.server import WebServer

    running: list[tuple[WebServer, threading.Thread]] = []

    def start(
        model: Any = (0.95, 0.05),
        trackers: dict[str, PartTracker] | None = None,
        cameras: Sequence[CameraConfig] = (TOP,),
        **options: object,
    ) -> Client:
        config = WebConfig.read({"enabled": True, "port": free_port(), **options})
        answer = model if isinstance(model, BaseException) else list(model)
        inspector = inspector_with(ScriptedModel(answer, lambda: None))
        profiles = image_profiles(cameras, inspector, one_verdict=True)
        judge = Judge(
            inspector, Provenance("line1", "c", "b-1"), environment, None, profiles=profiles
        )
        server = WebServer(
            config,
            judge,
            house.health,
            environment,
            TriggerRequests(trackers or {}, environment),
            camera_for=partial(choose_camera, profiles),
            choose_recipe=choose_recipe,
        )
        thread = threading.Thread(target=server.run, name="web", daemon=True)
        thread.start()
        running.append((server, thread))
        return Client(config.port)

    yield start
    for server, thread in running:
        server.close()
        thread.join(5)


def free_port() -> int:
    """A free port."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
