"""Boxes that are broken on purpose, so that the lossfinder is seen to find what it is there for.
Each function changes the daemon's real classes before it runs; `outbox` is the path of its
database."""

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.core.ids import uuid7
from edge.mqtt.connection import PahoConnection
from edge.mqtt.events import PubAck

_LAZY = 6  # so many commits become one


def forgets_at_publish(outbox: Path) -> None:
    """What was handed to TCP counts as delivered: nobody waits for the PUBACK."""

    publish = PahoConnection.publish

    def hasty(self: Any, *args: Any, **kwargs: Any) -> int:
        mid = publish(self, *args, **kwargs)
        self._on_event(PubAck(mid, 0, "Success"))
        return mid

    PahoConnection.publish = hasty  # type: ignore[method-assign]


def reports_before_the_commit(outbox: Path) -> None:
    """Says that a verdict is stored, and commits later, some commits in one."""

    class Lazy(sqlite3.Connection):
        commits = 0

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT":
                self.commits += 1
                if self.commits % _LAZY:
                    return self.cursor()
            if self.in_transaction and (sql.startswith("BEGIN") or "wal_checkpoint" in sql):
                return self.cursor()
            return super().execute(sql, *parameters)

    real = sqlite3.connect

    def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = real(*args, **{**kwargs, "factory": Lazy})
        return made

    sqlite3.connect = connect  # type: ignore[assignment]


def gives_a_new_id_on_resend(outbox: Path) -> None:
    """A verdict that is sent again gets another id, as if its message were made anew."""
    from edge.mqtt.connection import PahoConnection

    publish = PahoConnection.publish
    sent: set[int] = set()

    def renaming(self: Any, topic: str, body: bytes, **kwargs: Any) -> int:
        if topic.endswith("/result"):
            said = json.loads(body)
            if said["seq"] in sent:
                body = json.dumps({**said, "id": uuid7()}).encode()
            sent.add(said["seq"])
        return publish(self, topic, body, **kwargs)

    PahoConnection.publish = renaming  # type: ignore[method-assign]


def reuses_numbers(outbox: Path) -> None:
    """At a start it counts on from the newest verdict that waits: the numbers of those that were
    delivered are given again."""
    for beside in outbox.parent.glob(f"{outbox.name}.numbers*"):
        beside.unlink()
    if not outbox.exists():
        return
    with contextlib.closing(sqlite3.connect(outbox)) as db, contextlib.suppress(sqlite3.Error):
        db.execute("UPDATE state SET last = (SELECT coalesce(max(seq), 0) FROM outbox)")
        db.commit()


BREAKAGES: dict[str, Callable[[Path], None]] = {
    "forgets_at_publish": forgets_at_publish,
    "reports_before_the_commit": reports_before_the_commit,
    "gives_a_new_id_on_resend": gives_a_new_id_on_resend,
    "reuses_numbers": reuses_numbers,
}
