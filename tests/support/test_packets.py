"""The MQTT codec of the tests follows the standard."""

import pytest

from tests.support import packets
from tests.support.packets import Framer, MalformedError

# From the standard: QoS 1, topic a/b, packet identifier 10, payload "hi".
PUBLISH_311 = b"\x32\x09\x00\x03a/b\x00\x0ahi"
# The same in version 5, with a content type of one letter.
PUBLISH_5 = b"\x32\x0e\x00\x03a/b\x00\x0a\x04\x03\x00\x01xhi"


def test_a_stream_is_split_into_packets() -> None:
    """Byte by byte and all at once give the same packets."""
    stream = PUBLISH_311 + packets.pingreq() + PUBLISH_5
    framer = Framer()
    slowly = [p for byte in stream for p in framer.feed(bytes([byte]))]
    assert slowly == [PUBLISH_311, b"\xc0\x00", PUBLISH_5]
    assert list(Framer().feed(stream)) == slowly


def test_long_packets_have_long_lengths() -> None:
    """A length of several bytes is encoded and decoded."""
    long = packets.subscribe(1, "x" * 300)
    assert list(Framer().feed(long)) == [long]
    assert len(long) == 1 + 2 + 2 + 2 + 300 + 1


@pytest.mark.parametrize(("packet", "level"), [(PUBLISH_311, 4), (PUBLISH_5, 5)])
def test_a_publish_is_parsed(packet: bytes, level: int) -> None:
    """Topic, QoS, packet id and payload are parsed in both versions."""
    assert packets.open_publish(packet, level) == packets.Publish("a/b", 1, 10, b"hi")


def test_answers_match_the_standard() -> None:
    """PUBACK and CONNACK, with and without a reason, match both versions."""
    assert packets.puback(10, level=4, reason=0x97) == b"\x40\x02\x00\x0a"
    assert packets.puback(10, level=5, reason=0x97) == b"\x40\x04\x00\x0a\x97\x00"
    assert packets.mid_of_puback(packets.puback(513, level=5, reason=0x97)) == 513
    assert packets.connack(4, 5) == b"\x20\x02\x00\x05"
    assert packets.connack(5, 0x87) == b"\x20\x03\x00\x87\x00"
    assert packets.level_of(packets.connect("me", 60)) == 4


@pytest.mark.parametrize("data", [b"\x30\xff\xff\xff\xff\x01", b"\x30\xff\xff\xff\x7f"])
def test_bytes_that_are_not_mqtt_are_refused(data: bytes) -> None:
    """A length of five bytes and one of 256 MB are refused."""
    with pytest.raises(MalformedError):
        list(Framer().feed(data))


def test_a_truncated_publish_is_refused() -> None:
    """A truncated PUBLISH is a MalformedError."""
    with pytest.raises(MalformedError):
        packets.open_publish(b"\x32\x05\x00\x03a/b", level=5)
