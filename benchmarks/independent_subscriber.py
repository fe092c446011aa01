"""The ratios of `edge-inspect bench`, counted by a subscriber that knows nothing of the bench.

The daemon and the plain script publish to one broker in turns. An MQTT client counts the messages
that arrive, with its own clock. The bare loop has no messages and counts itself.

    python -m benchmarks.independent_subscriber MODEL.tflite --size 1920x1080 --turns 5
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge_bench.broker import running_broker
from edge_bench.worker_pipe import WorkerPipe, run_worker
from tests.support.plant import BASE, Daemon
from tests.support.waiting import wait_until

_PLAIN = "plain-script"
_WARM_UP = 100  # verdicts before the daemon's time counts
_LOOPS = 1_000_000  # of the replayed pictures: more than any turn needs


class Subscriber:
    """Notes when each message of the two topics came, in monotonic seconds."""

    def __init__(self, port: int) -> None:
        self.times: list[float] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="independent")
        self._client.on_message = lambda *_message: self.times.append(time.monotonic())
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(f"{BASE}/result", 1), (_PLAIN, 1)])
        self._client.loop_start()

    def close(self) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()

    def wait_for(self, count: int) -> None:
        """Waits until so many messages have come in all."""
        wait_until(lambda: len(self.times) >= count)

    def rate(self, begin: int) -> float:
        """Messages a second, from the message number `begin` to the last one."""
        times = self.times[begin:]
        return (len(times) - 1) / (times[-1] - times[0])


@contextmanager
def running_daemon(folder: Path, model: Path, pictures: Path, port: int) -> Iterator[None]:
    """A daemon with one worker that replays the pictures at full speed."""
    source = {"source": f"replay:{pictures}", "rate": "max", "loop": _LOOPS}
    values = {
        "station": "line1",
        "model": {"path": str(model), "workers": 1},
        "cameras": [{"id": "top", **source}],
        "mqtt": {"host": "127.0.0.1", "port": port},
    }
    folder.mkdir()
    daemon = Daemon(folder, values)
    daemon.start()
    try:
        yield
    finally:
        daemon.stop()


def measure(folder: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Frames a second of each turn, by candidate."""
    width, height = map(int, options.size.split("x"))
    request = {"folder": str(folder), "count": 8, "pictures": None}
    drawn = run_worker("edge_bench.images", {**request, "width": width, "height": height})
    files, model = drawn["jpeg"], options.model.resolve()
    found: dict[str, list[float]] = {"daemon": [], "plain script": [], "bare loop": []}
    with running_broker(folder) as broker, closing(Subscriber(broker.port)) as subscriber:
        script = {"model": str(model), "runtime": "litert", "files": files}
        plain = WorkerPipe(
            "edge_bench.baseline_script", {**script, "port": broker.port, "topic": _PLAIN}
        )
        config = folder / "bare.yaml"
        config.write_text(
            f"station: line1\nmodel: {{path: {model}}}\ncameras: [{{id: top, source: 'test:'}}]\n"
        )
        bare = WorkerPipe(
            "edge_bench.lower_bound",
            {"config": str(config), "format": "jpeg", "files": files, "in_turns": True},
        )
        with closing(plain), closing(bare):
            plain.receive()
            bare.receive()
            for turn in range(options.turns):
                begin = len(subscriber.times)
                plain.send(options.seconds)
                sent = plain.receive()["frames"]
                subscriber.wait_for(begin + sent)
                found["plain script"].append(subscriber.rate(begin))
                bare.send(options.seconds)
                answer = bare.receive()
                found["bare loop"].append(answer["frames"] / answer["seconds"])
                with running_daemon(folder / str(turn), model, Path(files[0]).parent, broker.port):
                    subscriber.wait_for(len(subscriber.times) + _WARM_UP)
                    begin = len(subscriber.times)
                    time.sleep(options.seconds)
                    found["daemon"].append(subscriber.rate(begin))
                print("  ".join(f"{name} {runs[-1]:6.1f}/s" for name, runs in found.items()))
    return found


def main() -> None:
    """Prints each turn, and the medians of the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--size", default="1920x1080", help="of the drawn JPEGs")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of one turn of one candidate")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), options)
    for other in ("plain script", "bare loop"):
        ratios = [ours / theirs for ours, theirs in zip(found["daemon"], found[other])]
        print(
            f"daemon to {other}: {statistics.median(ratios):.2f} "
            f"(from {min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
