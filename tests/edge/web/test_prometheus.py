"""/metrics, read with Prometheus' own parser."""

import math

from tests.edge.web.conftest import Serve
from tests.support.healthy_components import HealthyComponents
from tests.support.prometheus import samples


def test_metrics_are_the_health_snapshot(serve: Serve, house: HealthyComponents) -> None:
    """Prometheus reads the counts of the snapshot, with camera and verdict as labels."""
    house.reader.frames = 42
    house.latencies.add({"inference": 4.0})
    status, headers, body = serve().ask("GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    found = samples(body.decode())
    assert found["edge_inspect_healthy", ()] == 1
    assert found["edge_inspect_camera_frames_total", (("camera", "top"),)] == 42
    assert found["edge_inspect_camera_skipped_total", (("camera", "top"),)] == 3
    assert found["edge_inspect_camera_up", (("camera", "top"),)] == 1
    assert found["edge_inspect_verdicts_total", (("verdict", "fail"),)] == 2
    assert found["edge_inspect_outbox_rows", ()] == 2
    assert found["edge_inspect_outbox_acked_total", ()] == 7
    assert found["edge_inspect_broker_connected", ()] == 1
    stage = (("quantile", "0.95"), ("stage", "inference"))
    assert found["edge_inspect_latency_milliseconds", stage] == 4.0


def test_what_the_box_does_not_say_is_nan(serve: Serve, house: HealthyComponents) -> None:
    """A box without a thermometer has no temperature, not 0 °C."""
    found = samples(serve().ask("GET", "/metrics")[2].decode())
    assert math.isnan(found["edge_inspect_temperature_celsius", ()])


def test_a_lost_camera_is_seen(serve: Serve, house: HealthyComponents) -> None:
    """A lost camera is down and the box not healthy."""
    house.reader.state = "lost"
    found = samples(serve().ask("GET", "/metrics")[2].decode())
    assert found["edge_inspect_camera_up", (("camera", "top"),)] == 0
    assert found["edge_inspect_healthy", ()] == 0
    assert found["edge_inspect_faults", ()] == 1
    labels = (("kind", "camera_lost"), ("part", "camera top"), ("severity", "unhealthy"))
    assert found["edge_inspect_fault", labels] == 1
