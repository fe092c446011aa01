"""Boxes that are broken on purpose, to check that the lossfinder finds each fault.

Each function patches the daemon's classes before it runs. `outbox`: the path of its database.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.core.ids import uuid7
from edge.mqtt.connection import PahoConnection
from edge.mqtt.events import PubAck

_LAZY = 6  # commits that become one


def forgets_at_publish(outbox: Path) -> None:
    """A verdict counts as delivered when it is passed to TCP, without a PUBACK."""

    publish = PahoConnection.publish

    def hasty(self: Any, *args: Any, **kwargs: Any) -> int:
        mid = publish(self, *args, **kwargs)
        self._on_event(PubAck(mid, 0, "Success"))
        return mid

    PahoConnection.publish = hasty  # type: ignore[method-assign]


def reports_before_the_commit(outbox: Path) -> None:
    """Reports a verdict as stored, and commits later, several commits in one."""

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
    """A verdict that is sent again gets another id, as if its message were rebuilt."""
    from edge.mqtt.connection import PahoConnection

    publish = PahoConnection.publish
    sent: set[int] = set()

    def renaming(self: Any, topic: str, body: bytes, **kwargs: Any) -> int:
        if topic.endswith("/result"):
            fields = json.loads(body)
            if fields["seq"] in sent:
                body = json.dumps({**fields, "id": uuid7()}).encode()
            sent.add(fields["seq"])
        return publish(self, topic, body, **kwargs)

    PahoConnection.publish = renaming  # type: ignore[method-assign]


def reuses_numbers(outbox: Path) -> None:
    """A start continues from the newest waiting verdict, so it reuses numbers of delivered ones."""
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
