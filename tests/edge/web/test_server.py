"""POST /predict, GET /healthz, GET /metrics over real HTTP."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from edge.config import CameraConfig, TriggerConfig
from edge.core.clock import Clock
from edge.core.errors import EXIT_USAGE, EdgeInspectError
from edge.pipeline.part_tracker import PartTracker
from tests.conftest import WritePicture
from tests.edge.web.conftest import TOP, Serve
from tests.support.healthy_components import HealthyComponents
from tests.support.waiting import wait_until


@pytest.fixture
def picture(write_picture: WritePicture) -> bytes:
    """A good PNG."""
    return write_picture().read_bytes()


def test_predict_answers_with_the_verdict(serve: Serve, picture: bytes) -> None:
    """A picture in the multipart field `image` gives 200 and its verdict as JSON."""
    status, body = serve(model=(0.05, 0.95)).upload(picture)
    assert status == 200
    assert body["schema"] == "edge-inspect/result/1"
    assert (body["verdict"], body["label"], body["camera"]) == ("fail", "red", "top")
    assert body["part"] == "part7.png"
    assert body["score"] == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"a text file", "not a JPEG, PNG or BMP"),
        (b"\x89PNG\r\n\x1a\nxx", "header is damaged"),
    ],
)
def test_what_is_no_picture_is_400(serve: Serve, data: bytes, words: str) -> None:
    """Bytes that are no picture are 400 with the sentence that the decoder says."""
    status, body = serve().upload(data)
    assert status == 400
    assert body["error"].startswith("part7.png: ")
    assert words in body["error"]


SIDE = CameraConfig.read(
    {
        "id": "side",
        "source": "test:",
        "view": {
            "regions": [
                {"id": "l", "region": [0, 0, 0.5, 1]},
                {"id": "r", "region": [0.5, 0, 0.5, 1]},
            ]
        },
    }
)


def test_a_picture_is_cut_as_the_camera_would(serve: Serve, picture: bytes) -> None:
    """The field `camera` names whose view counts; of several regions the worst answers."""
    client = serve(cameras=(TOP, SIDE))
    status, body = client.upload(picture, camera="side")
    assert status == 200
    assert (body["camera"], body["region"] in ("l", "r")) == ("side", True)
    assert body["rule"]["regions"].keys() == {"l", "r"}
    status, body = client.upload(picture, camera="top")
    assert (status, body["camera"], body["rule"]["regions"]) == (200, "top", {})


@pytest.mark.parametrize(
    ("camera", "words"), [(None, "have different views"), ("x", "no camera 'x'; name one of top")]
)
def test_a_camera_that_is_not_clear_is_400(
    camera: str | None, words: str, serve: Serve, picture: bytes
) -> None:
    """With several views a request must name its camera."""
    status, body = serve(cameras=(TOP, SIDE)).upload(picture, camera=camera)
    assert status == 400
    assert words in body["error"]
    assert body["error"].startswith("field `camera`: ")


def test_wrong_field_is_400(serve: Serve, picture: bytes) -> None:
    """Another field, and a body that is no form, are 400 and name the field."""
    client = serve()
    status, body = client.upload(picture, field="file")
    assert status == 400
    assert body["error"].startswith("field 'file' is unknown; send the picture as a file")
    assert client.ask("POST", "/predict", picture)[0] == 400
    assert client.ask("POST", "/predict", b"", **{"Content-Type": "multipart/form-data"})[0] == 400


def test_too_much_is_413(serve: Serve, picture: bytes) -> None:
    """More than web.max_mb is 413, whether it is a little or far too much."""
    client = serve(max_mb=0.1)
    assert client.upload(picture)[0] == 200
    status, body = client.upload(bytes(110_000))
    assert status == 413
    assert "web.max_mb" in body["error"]
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as plain:
        plain.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
        assert plain.recv(100).startswith(b"HTTP/1.1 413 ")  # before a byte of it was sent


def test_model_fault_is_an_error_verdict(serve: Serve, picture: bytes) -> None:
    """A model that fails gives the verdict `error`, never `pass`."""
    status, body = serve(model=RuntimeError("invoke")).upload(picture)
    assert status == 200
    assert body["verdict"] == "error"
    assert body["reason"]


def test_token_is_asked_for(serve: Serve, picture: bytes, tmp_path: Path) -> None:
    """With a token file, a wrong, an empty and no token are 401; the right one is 200."""
    (tmp_path / "token").write_text("s3cret\n")
    client = serve(token_file=str(tmp_path / "token"))
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}):
        status, headers, _ = client.ask("GET", "/metrics", **header)  # type: ignore[arg-type]
        assert status == 401
        assert headers["www-authenticate"] == "Bearer"
    assert client.upload(picture)[0] == 401
    client.headers = {"Authorization": "Bearer s3cret"}
    assert client.upload(picture)[0] == 200
    assert client.ask("GET", "/metrics")[0] == 200


def test_health_needs_no_token(serve: Serve, tmp_path: Path) -> None:
    """A load balancer may ask for health without a token."""
    (tmp_path / "token").write_text("s3cret")
    assert serve(token_file=str(tmp_path / "token")).ask("GET", "/healthz")[0] == 200


def test_healthz_is_503_while_a_camera_is_lost(serve: Serve, house: HealthyComponents) -> None:
    """200 only while every camera delivers; otherwise 503 with the faults."""
    client = serve()
    assert client.ask("GET", "/healthz")[0] == 200
    house.reader.state, house.reader.why = "lost", "cable"
    status, _, body = client.ask("GET", "/healthz")
    assert status == 503
    answer = json.loads(body)
    assert answer["healthy"] is False
    assert [fault.startswith("camera top: cable; ") for fault in answer["faults"]] == [True]


def test_healthz_is_503_while_the_outbox_refuses(serve: Serve, house: HealthyComponents) -> None:
    """503 while the outbox cannot store."""
    house.writer.fault = "disk full"
    assert serve().ask("GET", "/healthz")[0] == 503


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/predict/x", 404),
        ("GET", "/predict", 405),
        ("POST", "/healthz", 405),
        ("DELETE", "/metrics", 405),
    ],
)
def test_wrong_address_or_method(serve: Serve, method: str, path: str, status: int) -> None:
    """Another address is 404, another method 405, each with a JSON body."""
    answered, _, body = serve().ask(method, path)
    assert answered == status
    assert "error" in json.loads(body)


def test_port_in_use_is_one_sentence(serve: Serve) -> None:
    """The error for a used port names the fix; exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EdgeInspectError) as caught:
            serve(port=port)
    text = str(caught.value)
    assert f"web.port: 127.0.0.1:{port} cannot be used (Address already in use); stop" in text
    assert caught.value.exit_code == EXIT_USAGE


def request_tracker(environment: Clock) -> dict[str, PartTracker]:
    """One camera that is triggered by request, one part at a time."""
    config = TriggerConfig.read({"kind": "request", "queue": 0})
    return {"top": PartTracker("top", config, environment)}


def test_a_trigger_is_taken_or_refused_with_its_status(serve: Serve, environment: Clock) -> None:
    """POST /trigger: 202 with the part, 409 while busy, 400 and 404 for what is wrong, 503 at the
    end; each refusal says why."""
    trackers = request_tracker(environment)
    client = serve(trackers=trackers)

    def post(body: object) -> tuple[int, dict[str, object]]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, _, answer = client.ask("POST", "/trigger", raw)
        return status, json.loads(answer)

    status, answer = post({"camera": "top", "part": "P-7"})
    assert (status, answer["part"], answer["number"]) == (202, "P-7", 1)
    refusals = [
        post({"part": "P-8"}),
        post(b"nonsense"),
        post({"camera": "unknown"}),
        post({"part": 7}),
    ]
    trackers["top"].stop_accepting()
    refusals.append(post({"part": "P-9"}))
    assert [status for status, _ in refusals] == [409, 400, 404, 400, 503]
    assert all(answer["error"] for _, answer in refusals)
    assert trackers["top"].open == 1


def test_triggers_by_http_are_limited(serve: Serve, environment: Clock) -> None:
    """Past a hundred a second they are refused with 429; a token is asked for as anywhere."""
    client = serve(trackers=request_tracker(environment))
    statuses = [client.ask("POST", "/trigger", b"x")[0] for _ in range(102)]
    assert statuses == [400] * 100 + [429] * 2


def test_a_trigger_needs_the_token(serve: Serve, tmp_path: Path) -> None:
    """With web.token_file a trigger needs the token."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    client = serve(token_file=str(token))
    assert client.ask("POST", "/trigger", b"{}")[0] == 401


def test_the_web_server_sleeps_until_a_client_connects(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a client it waits for one for ever; while one is connected it looks for slow ones."""
    from waitress import wasyncore

    loop = wasyncore.loop
    sleeps: list[float | None] = []

    def recording(timeout: float | None, **options: Any) -> None:
        sleeps.append(timeout)
        loop(timeout=timeout, **options)

    monkeypatch.setattr(wasyncore, "loop", recording)
    client = serve()
    wait_until(lambda: sleeps == [None])
    client.ask("GET", "/healthz")
    wait_until(lambda: 0.5 in sleeps and sleeps[-1] is None)


def test_a_recipe_is_chosen_or_refused(serve: Serve) -> None:
    """POST /recipe: 200 when it can judge, 404 for a number that does not exist."""
    client = serve()
    status, _, answer = client.ask("POST", "/recipe", b'{"recipe": 7}')
    assert (status, json.loads(answer)["recipe"]["name"]) == (200, "cap")
    assert json.loads(answer)["by"] == "http"
    status, _, answer = client.ask("POST", "/recipe", b'{"recipe": 9}')
    assert (status, json.loads(answer)) == (404, {"error": "recipe 9 is not in config.yaml"})
    assert client.ask("POST", "/recipe", b"7")[0] == 400
