"""PUBLISH packets in a stream that comes in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_bench.packets import Publish, Publishes
from tests.edge_bench.packet_samples import connect, packet, publish


@pytest.mark.parametrize("level", [4, 5])
@given(data=st.data())
def test_publishes_are_found_however_the_stream_is_cut(level: int, data: st.DataObject) -> None:
    """Topic and body of each, in order, whatever the pieces are; other packets pass by."""
    bodies = data.draw(st.lists(st.binary(max_size=400), max_size=5))
    stream = connect(level) + packet(0xC0, b"")
    for number, body in enumerate(bodies):
        stream += publish(f"t/{number}", body, level, qos=number % 2, properties=b"\x01\x01")
        stream += packet(0x40, b"\x00\x01")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    found: list[Publish] = []
    publishes = Publishes()
    for start, end in zip([0, *cuts], [*cuts, len(stream)]):
        found += publishes.feed(stream[start:end])
    assert found == [Publish(f"t/{n}", body) for n, body in enumerate(bodies)]


def test_what_is_no_mqtt_is_refused() -> None:
    """A length of five bytes is no MQTT."""
    with pytest.raises(ValueError, match="not an MQTT stream"):
        list(Publishes().feed(b"\x30\xff\xff\xff\xff\xff"))
