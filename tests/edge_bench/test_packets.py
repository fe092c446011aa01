"""PUBLISH packets in a stream that arrives in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_bench.packets import Publish, PublishParser
from tests.edge_bench.packet_samples import connect, packet, publish


@pytest.mark.slow
@pytest.mark.parametrize("level", [4, 5])
@given(data=st.data())
def test_publishes_are_found_in_any_pieces(level: int, data: st.DataObject) -> None:
    """Topic and body of each PUBLISH are found in order; other packets are ignored."""
    bodies = data.draw(st.lists(st.binary(max_size=400), max_size=5))
    stream = connect(level) + packet(0xC0, b"")
    for number, body in enumerate(bodies):
        stream += publish(f"t/{number}", body, level, qos=number % 2, properties=b"\x01\x01")
        stream += packet(0x40, b"\x00\x01")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    found: list[Publish] = []
    parser = PublishParser()
    for start, end in zip([0, *cuts], [*cuts, len(stream)]):
        found += parser.feed(stream[start:end])
    assert found == [Publish(f"t/{n}", body) for n, body in enumerate(bodies)]


def test_bytes_that_are_not_mqtt_are_refused() -> None:
    """A length of five bytes is not MQTT."""
    with pytest.raises(ValueError, match="not an MQTT stream"):
        list(PublishParser().feed(b"\x30\xff\xff\xff\xff\xff"))
