"""Which pictures of `folder:` cameras have their verdict. The outbox's file remembers a receipt for
each; those of files that went long ago are forgotten, or they would fill it in a year."""

from collections.abc import Callable, Collection, Sequence

from edge.delivery.outboxview import OutboxView

_BYTES = 128  # what a receipt takes in the file, about
_SHARE = 8  # this part of the file's cap may be receipts of files that are gone
_MOST = 100_000


class Receipts:
    """Safe between threads."""

    def __init__(
        self,
        view: OutboxView,
        forget: Callable[[Sequence[tuple[str, str]]], None],
        max_bytes: int,
        cameras: int,
    ) -> None:
        """`forget` strikes out pairs of camera and receipt. `max_bytes` is the file's cap, which
        the receipts of so many cameras share."""
        self._view, self._forget = view, forget
        self.keep = min(_MOST, max_bytes // _SHARE // _BYTES) // max(1, cameras)

    def judged(self, camera: str, receipt: str) -> bool:
        """Whether a verdict with this receipt was stored. Raises OutboxError."""
        return self._view.is_judged(camera, receipt)

    def lying(self, camera: str, present: Collection[str]) -> None:
        """These are the files that the folder holds now. Of others the newest `keep` receipts
        stay, by the time of the file: a folder that is out of reach for a while, or files that are
        put back, are not judged again. Raises OutboxError."""
        known = self._view.receipts(camera)
        if len(known) <= self.keep:
            return
        gone = sorted(set(known).difference(present), key=_time_of)
        if len(gone) > self.keep:
            self._forget([(camera, receipt) for receipt in gone[: len(gone) - self.keep * 9 // 10]])

    def close(self) -> None:
        """Closes the file."""
        self._view.close()


def _time_of(receipt: str) -> int:
    """A receipt ends with the time of its file, in ns."""
    time = receipt.rpartition("|")[2]
    return int(time) if time.isdecimal() else 0
