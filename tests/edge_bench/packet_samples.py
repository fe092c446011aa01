"""MQTT packets as bytes."""


def packet(first: int, rest: bytes) -> bytes:
    """A whole packet from its first byte and its body."""
    length, coded = len(rest), bytearray()
    while True:
        length, byte = divmod(length, 128)
        coded.append(byte | (0x80 if length else 0))
        if not length:
            return bytes([first]) + bytes(coded) + rest


def text(value: str) -> bytes:
    """A string with its length."""
    return len(value.encode()).to_bytes(2, "big") + value.encode()


def connect(level: int) -> bytes:
    """A CONNECT packet of a protocol level."""
    return packet(0x10, text("MQTT") + bytes([level, 2, 0, 30]) + text("bench"))


def publish(topic: str, body: bytes, level: int, qos: int = 1, properties: bytes = b"") -> bytes:
    """A PUBLISH packet of a protocol level."""
    packet_id = b"\x00\x07" if qos else b""
    more = bytes([len(properties)]) + properties if level >= 5 else b""
    return packet(0x30 | qos << 1, text(topic) + packet_id + more + body)
