"""The box's records through the running daemon: a client of its local socket."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from edge.cli.api_client import ApiClient
from edge.plant import (
    HistoryEntry,
    LabelReply,
    LabelRequest,
    Picture,
    RecordQuery,
    UndoRequest,
    VerdictDetails,
)
from edge.storage import Label

_PAGE = 500  # the daemon never waits for a client that pauses in the middle of an answer


class RecordsClient(ApiClient):
    """`Records` of the daemon that listens at a path."""

    def history(self, query: RecordQuery) -> Iterator[HistoryEntry]:
        """Verdicts that the box remembers, newest first."""
        left, question = query.of_model.limit, query.of_model
        while left is None or left > 0:
            limit = _PAGE if left is None else min(_PAGE, left)
            page = replace(query, of_model=replace(question, limit=limit))
            data = self.ask("GET", "/history", page.fields())
            rows = [HistoryEntry.from_dict(json.loads(line)) for line in data.splitlines()]
            yield from rows
            if len(rows) < limit:
                return
            question = replace(question, before_seq=rows[-1].seq)
            left = None if left is None else left - len(rows)

    def show(self, name: str) -> VerdictDetails:
        """All that is known of one verdict."""
        return VerdictDetails.from_dict(
            json.loads(self.ask("GET", f"/verdicts/{quote(name, safe='')}"))
        )

    def picture(self, name: str, number: int = 1) -> Picture:
        """A kept picture of a verdict."""
        address = f"/verdicts/{quote(name, safe='')}/picture"
        data = self.ask("GET", address, {"n": str(number)})
        kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
        return Picture(data, kind)

    def label(self, request: LabelRequest) -> LabelReply:
        """Labels all, or none."""
        return LabelReply.from_dict(json.loads(self.send("/labels", request.to_dict())))

    def undo(self, request: UndoRequest) -> LabelReply:
        """Takes back all, or none."""
        return LabelReply.from_dict(json.loads(self.send("/labels/undo", request.to_dict())))

    def labels(self) -> Sequence[Label]:
        """All labels that count."""
        return [Label(**json.loads(line)) for line in self.ask("GET", "/labels").splitlines()]

    def estimate(self, since: float | None = None) -> dict[str, Any]:
        """Escape and false-reject rate of the line."""
        fields = {} if since is None else {"since": f"{since:.3f}"}
        answer: dict[str, Any] = json.loads(self.ask("GET", "/estimate", fields))
        return answer
