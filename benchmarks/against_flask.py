"""The whole daemon against what is written first: a Flask app with Keras `model.predict`.

    python -m benchmarks.against_flask -c config.yaml [--sizes vga,1080p] [--rounds 5]
                                       [--json FILE] [--keras model.keras]

Both get the same pictures, in turns of 0.4 s. The app decodes and resizes what is uploaded,
calls `model.predict` and answers JSON; it is asked over HTTP on the loopback, by as many clients at
once as there are cores, each with one connection. Without --keras it holds the plain CNN
(`baseline`), untrained, at the size of the configured model: it costs the same. The daemon plays
the pictures, stores each verdict and has it acknowledged: with one camera and worker, and as it is
installed, with as many as there are cores; the app uses all of them in both. What counts is the
latter. Needs `pip install '.[bench,train]'` and a broker.
"""

import argparse
import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.config import load_config
from edge.core.errors import EdgeInspectError, MissingPartError, RefusedError
from edge_bench.aggregate import median, median_ratio
from edge_bench.broker import free_port
from edge_bench.interleave import Candidate, Run, interleave, warmed_up
from edge_bench.plan import SIZES, Plan
from edge_bench.process_tree import ProcessTree
from edge_bench.rig import ImageSet, Rig
from edge_bench.throughput import Cell

LIMIT = 15.0
KEYS = ("fps", "cpu_ms")
_PATIENCE_S = 120.0
_WARM = 3
BOUNDARY = "picture"


def serve(model: str, side: tuple[int, int, int], port: int) -> None:
    """The app, as its tutorials write it. `model` is a .keras file, or empty; `side` is height,
    width, channels of the input."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import flask
    import keras

    if model:
        network = keras.models.load_model(model)
    else:
        from trainer.networks import build_network, input_of

        spec = input_of("baseline").replace(height=side[0], width=side[1])
        network = build_network("baseline", 2, spec)
    height, width = network.input_shape[1:3]
    app = flask.Flask("plain")

    def predict() -> Any:
        data = np.frombuffer(flask.request.files["image"].read(), np.uint8)
        decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
        picture = cv2.resize(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), (width, height))
        scores = network.predict(picture[None].astype(np.float32), verbose=0)[0]
        return flask.jsonify(label=int(np.argmax(scores)), scores=[float(s) for s in scores])

    app.add_url_rule("/predict", view_func=predict, methods=["POST"])
    app.run("127.0.0.1", port, threaded=True)


@contextmanager
def running(rig: Rig, keras_model: Path | None, shape: list[int]) -> Iterator[tuple[int, int]]:
    """Port and process of the app. Raises RefusedError with its last words."""
    port, log = free_port(), rig.folder / "flask.log"
    said = json.dumps([str(keras_model) if keras_model else "", shape, port])
    with log.open("wb") as to:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.against_flask", "--serve", said],
            stdout=to,
            stderr=to,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + _PATIENCE_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RefusedError(f"the Flask app does not start: {log.read_text()[-1000:]}")
            time.sleep(0.1)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _answers(port: int) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        client.request("GET", "/")
        client.getresponse().read()
    except OSError:
        return False
    finally:
        client.close()
    return True


class App(Candidate):
    """The app that is running, asked by a client a core."""

    def __init__(self, port: int, pid: int, pictures: ImageSet) -> None:
        self._port, self._tree = port, ProcessTree(pid)
        self._bodies = [multipart(path.read_bytes()) for path in pictures.jpegs]
        self._frames, self._seconds, self._cpu_s = 0, 0.0, 0.0

    def warm_up(self) -> None:
        """Some pictures, of which the first takes long."""
        _ask(self._port, self._bodies, count=_WARM)

    def turn(self, seconds: float) -> None:
        """All clients at once; the turn is over when each has its answer."""
        cpu_s, start = self._tree.cpu_s(), time.monotonic()
        counts = [0] * len(os.sched_getaffinity(0))

        def client(number: int) -> None:
            counts[number] = _ask(self._port, self._bodies, until=start + seconds)

        threads = [threading.Thread(target=client, args=(n,)) for n in range(len(counts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._frames += sum(counts)
        self._seconds += time.monotonic() - start
        self._cpu_s += self._tree.cpu_s() - cpu_s

    def run(self) -> Run:
        """Frames/s and CPU ms a frame. Raises RefusedError when it answered nothing."""
        if not self._frames:
            raise RefusedError("the Flask app answered nothing; raise --seconds")
        return {"fps": self._frames / self._seconds, "cpu_ms": self._cpu_s * 1000 / self._frames}


def _ask(port: int, bodies: list[bytes], count: int | None = None, until: float = 0.0) -> int:
    """Uploads pictures over one connection; how many were answered with scores."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
    kind, number = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, 0
    while number < count if count is not None else time.monotonic() < until:
        connection.request("POST", "/predict", bodies[number % len(bodies)], kind)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200 or "scores" not in json.loads(body):
            raise RefusedError(f"the Flask app answers {answer.status}: {body[:200]!r}")
        number += 1
    connection.close()
    return number


def multipart(data: bytes) -> bytes:
    """A picture as the body of an upload."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def compare(rig: Rig, size: str, keras_model: Path | None) -> dict[str, Any]:
    """App and daemon in turns, by one size; frames/s, CPU and their ratio. Raises RefusedError."""
    plan, pictures = rig.plan, rig.pictures(size)
    interpreter = plan.interpreters[0]
    cell = Cell(rig, size, "jpeg", interpreter)
    shape = rig.bare(interpreter)["input"]
    rounds: list[dict[Any, Run]] = []
    with running(rig, keras_model, shape) as (port, pid):
        for number in range(plan.rounds):
            rig.progress(f"{size}, round {number + 1} of {plan.rounds}")
            with ExitStack() as stack:
                daemons = [
                    warmed_up(stack.enter_context(cell.replaying_daemon(w))) for w in workers()
                ]
                app = warmed_up(App(port, pid, pictures))
                found = interleave([app, *daemons], plan.seconds)
            rounds.append(dict(zip(("flask", *workers()), found)))
    of_app = [one["flask"] for one in rounds]
    return {"size": size, "flask": medians(of_app)} | {
        "daemon": [
            {"workers": w, **against(of_app, [one[w] for one in rounds])} for w in workers()
        ],
        "rounds": [
            {str(who): {key: run[key] for key in KEYS} for who, run in one.items()}
            for one in rounds
        ],
    }


def workers() -> tuple[int, ...]:
    """One, and as many as there are cores."""
    return tuple(sorted({1, os.cpu_count() or 1}))


def medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Frames/s and CPU milliseconds a frame."""
    return {key: median([run[key] for run in runs]) for key in KEYS}


def against(app: list[dict[str, Any]], daemon: list[dict[str, Any]]) -> dict[str, float]:
    """The same of the daemon, and how many times as good as the app's."""
    said = {key: ([run[key] for run in app], [run[key] for run in daemon]) for key in KEYS}
    return medians(daemon) | {
        "times_the_frames": median_ratio(said["fps"][1], said["fps"][0]),
        "times_the_cpu": median_ratio(said["cpu_ms"][0], said["cpu_ms"][1]),
    }


def main() -> int:
    """Prints the table; exit code 1 when the daemon is not 15 times as quick."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-c", "--config", type=Path, default=Path("config.yaml"))
    parser.add_argument("--sizes", default="vga,1080p")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--keras", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        model, side, port = json.loads(arguments.serve)
        serve(model, side, port)
        return 0
    try:
        return _measured(arguments)
    except EdgeInspectError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _measured(arguments: argparse.Namespace) -> int:
    missing = [name for name in ("flask", "keras") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPartError(
            f"{' and '.join(missing)} not installed; "
            "run in edge-inspect's folder: pip install '.[bench,train]'"
        )
    config = load_config(arguments.config)
    sizes = tuple(size for size in SIZES if size in arguments.sizes.split(","))
    plan = Plan(
        arguments.rounds, arguments.seconds, sizes, interpreters=(config.model.interpreter,)
    )
    with Rig(config, plan, lambda what: print(what, file=sys.stderr)) as rig:
        found = [compare(rig, size, arguments.keras) for size in sizes]
    print(f"{'':8}{'':20}{'':24}{'times the app':>24}")
    print(f"{'size':8}{'':20}" + f"{'frames/s':>12}{'CPU ms':>12}" * 2)
    for one in found:
        numbers = "".join(f"{one['flask'][key]:>12.2f}" for key in KEYS)
        print(f"{one['size']:8}{'Flask + Keras':20}{numbers}")
        for daemon in one["daemon"]:
            numbers = "".join(f"{daemon[key]:>12.2f}" for key in KEYS)
            times = f"{daemon['times_the_frames']:>12.1f}{daemon['times_the_cpu']:>12.1f}"
            who = f"daemon, {daemon['workers']} worker{'s' if daemon['workers'] > 1 else ''}"
            print(f"{one['size']:8}{who:20}{numbers}{times}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    good = all(one["daemon"][-1]["times_the_frames"] >= LIMIT for one in found)
    print(f"at least {LIMIT:g} times" if good else f"NOT {LIMIT:g} times")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
