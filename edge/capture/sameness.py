"""Whether a camera's JPEGs are one and the same picture, told without decoding them."""

from edge.capture.camera import Look

_SCAN = b"\xff\xda"  # what stands before it may tell the time


class Sameness:
    """Sees every picture of one camera. `repeats`: how many right before the last were the same."""

    def __init__(self) -> None:
        self.repeats = 0
        self._before = memoryview(b"")

    def see(self, look: Look) -> None:
        """The next picture, as it came; one that is damaged is like no other."""
        data = b"" if look.encoded is None else bytes(look.encoded.data)
        scan = memoryview(data)[max(0, data.find(_SCAN)) :]
        same = len(scan) > 0 and scan == self._before  # ends at the first byte that differs
        self.repeats = self.repeats + 1 if same else 0
        self._before = scan
