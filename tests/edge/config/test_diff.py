"""What a new config.yaml changes, and which keys wait for a restart."""

from typing import Any

import pytest

from edge.config.diff import ConfigDiff, diff_configs
from tests.support.configs import CAMERAS, config


def changed(**sections: Any) -> ConfigDiff:
    """What these sections change."""
    return diff_configs(config(), config(**sections))


def test_the_same_changes_nothing() -> None:
    """The same file changes nothing."""
    same = changed()
    assert (same.changed, same.restart_required, same.config) == ((), (), config())


@pytest.mark.parametrize(
    ("sections", "touched"),
    [
        ({"model": {"path": "other.tflite"}}, ("model",)),
        ({"recipes": [{"number": 1, "name": "A"}]}, ("recipes",)),
        ({"decision": {"reject_at": 0.9}}, ("decision",)),
        ({"decision": {"alarm": {"fails": 3}}}, ("decision",)),
        ({"mqtt": {"host": "elsewhere"}}, ("mqtt",)),
        ({"mqtt": {"snapshots": {"send": ["fail"]}}}, ("mqtt.snapshots",)),
        ({"archive": {"enabled": True}}, ("archive",)),
        ({"history": {"max_mb": 50}}, ("history",)),
        ({"health": {"interval_s": 1}}, ("health",)),
        ({"log": {"level": "debug"}}, ("log",)),
        ({"cameras": CAMERAS[:1]}, ("cameras side",)),
        ({"cameras": [CAMERAS[0], {**CAMERAS[1], "fps": 6}]}, ("cameras side",)),
        ({"cameras": [*CAMERAS, {"id": "back", "source": "test:"}]}, ("cameras back",)),
        ({"cameras": CAMERAS[::-1]}, ()),
    ],
)
def test_only_the_parts_that_changed_are_touched(
    sections: dict[str, Any], touched: tuple[str, ...]
) -> None:
    """Each section is named alone, a camera by its id, and no key waits for a restart."""
    found = changed(**sections)
    assert (found.changed, found.restart_required) == (touched, ())
    assert found.config == config(**sections)


@pytest.mark.parametrize(
    ("sections", "keys"),
    [
        ({"station": "line2"}, ("station",)),
        ({"mqtt": {"prefix": "plant"}}, ("mqtt.prefix",)),
        ({"mqtt": {"embedded": True}}, ("mqtt.embedded",)),
        ({"outbox": {"max_mb": 1}}, ("outbox",)),
        ({"web": {"enabled": True}}, ("web",)),
    ],
)
def test_what_the_daemon_stands_on_waits_for_a_restart(
    sections: dict[str, Any], keys: tuple[str, ...]
) -> None:
    """The key is named and keeps its old value; the other changes apply."""
    found = diff_configs(config(), config(**sections, log={"level": "error"}))
    assert found.restart_required == keys
    assert found.changed == ("log",)
    assert found.config == config(log={"level": "error"})


def test_another_host_beside_another_prefix() -> None:
    """The host changes at once; the prefix waits for a restart."""
    found = changed(mqtt={"host": "elsewhere", "prefix": "plant"})
    assert (found.restart_required, found.broker) == (("mqtt.prefix",), True)
    assert (found.config.mqtt.host, found.config.mqtt.prefix) == ("elsewhere", "inspection")


def test_the_embedded_broker_listens_where_it_listens() -> None:
    """Its port needs a restart; that of another machine's broker does not."""
    old = config(mqtt={"embedded": True, "port": 1884})
    found = diff_configs(old, config(mqtt={"embedded": True, "port": 1885}))
    assert (found.restart_required, found.changed) == (("mqtt.port",), ())


def test_another_model_under_the_same_name() -> None:
    """A replaced model file is a change, although config.yaml is the same."""
    assert diff_configs(config(), config(), model_file_differs=True).changed == ("model",)
