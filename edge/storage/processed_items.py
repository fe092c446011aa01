"""The ledger of processed items: the files of `folder:` cameras that have a verdict.

The outbox stores a receipt for each. Old receipts of deleted files are removed; otherwise they
would fill the outbox within a year.
"""

from collections.abc import Callable, Collection, Sequence

from edge.storage.outbox.reader import OutboxReader

_RECEIPT_BYTES = 128  # in the file, about
_SHARE = 8  # an eighth of the file's cap may be receipts of deleted files
_LIMIT = 100_000  # receipts


class ProcessedItems:
    """Safe between threads."""

    def __init__(
        self,
        reader: OutboxReader,
        forget: Callable[[Sequence[tuple[str, str]]], None],
        max_bytes: int,
        cameras: int,
        *,
        in_memory: Callable[[str, str], bool] = lambda _camera, _receipt: False,
    ) -> None:
        """Parameters:

        forget: deletes pairs of camera and receipt.
        max_bytes: the cap of the outbox's file.
        cameras: the number of `folder:` cameras that share it.
        in_memory: whether the verdict of a camera's receipt waits for its commit.
        """
        self._reader, self._forget, self._in_memory = reader, forget, in_memory
        self.keep = min(_LIMIT, max_bytes // _SHARE // _RECEIPT_BYTES) // max(1, cameras)

    def judged(self, camera: str, receipt: str) -> bool:
        """Whether there is a verdict with this receipt, in memory or stored. Raises OutboxError."""
        # memory first: a commit writes the receipt before memory forgets it
        return self._in_memory(camera, receipt) or self.stored(camera, receipt)

    def stored(self, camera: str, receipt: str) -> bool:
        """Whether a verdict with this receipt was stored. Raises OutboxError."""
        return self._reader.is_judged(camera, receipt)

    def hand_out(self, camera: str, receipt: str) -> None:
        """Nothing: the writer notes the receipt with its verdict."""

    def prune(self, camera: str, present: Collection[str]) -> None:
        """Deletes old receipts of files that are not `present` in the folder. Raises OutboxError.

        The newest `keep` of them stay, by the time of the file. So a folder that was out of reach,
        or a file that was put back, is not judged again.
        """
        known = self._reader.receipts(camera)
        if len(known) <= self.keep:
            return
        gone = sorted(set(known).difference(present), key=_time_of)
        if len(gone) > self.keep:
            self._forget([(camera, receipt) for receipt in gone[: len(gone) - self.keep * 9 // 10]])

    def close(self) -> None:
        """Closes the file."""
        self._reader.close()


def _time_of(receipt: str) -> int:
    """The time of the file, ns: the last field of a receipt."""
    time = receipt.rpartition("|")[2]
    return int(time) if time.isdecimal() else 0
