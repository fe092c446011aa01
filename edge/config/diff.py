"""The difference between two configurations, and the state of the last reload."""

from collections.abc import Iterator
from dataclasses import dataclass

from edge.config.annotations import NeedsRestart
from edge.config.schema import Config
from edge.core.record import Model


class ReloadState:
    """The running configuration and the result of the last reload.

    - `problems`: why the last file was refused; empty when it was accepted.
    - `restart_required`: the changed keys that wait for a restart.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.problems: tuple[str, ...] = ()
        self.restart_required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigDiff:
    """The changes of a reload.

    - `config`: the new configuration, with the old values of all keys in `restart_required`.
    - `removed`, `added`: camera ids; a changed camera is in both.
    - The flags tell which sections change.
    """

    config: Config
    restart_required: tuple[str, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]
    model: bool
    recipes: bool
    decision: bool
    outputs: bool
    broker: bool
    snapshots: bool
    history: bool
    archive: bool
    health: bool
    log: bool

    @property
    def changed(self) -> tuple[str, ...]:
        """The changed sections under their names in config.yaml."""
        names = [f"cameras {name}" for name in dict.fromkeys((*self.removed, *self.added))]
        if self.broker:
            names.append("mqtt")
        if self.snapshots:
            names.append("mqtt.snapshots")
        sections = ("model", "recipes", "decision", "history", "archive", "health", "log")
        return (*names, *(name for name in sections if getattr(self, name)))


def diff_configs(old: Config, new: Config, *, model_file_differs: bool = False) -> ConfigDiff:
    """Compares the running configuration with a new one.

    `model_file_differs`: the model file has new content under the same name.
    """
    restart = tuple(
        path
        for path in _restart_keys(old, embedded=old.mqtt.embedded)
        if _value(old, path) != _value(new, path)
    )
    config = _with_old_values(new, old, restart)
    before = {camera.id: camera for camera in old.cameras}
    after = {camera.id: camera for camera in config.cameras}
    return ConfigDiff(
        config=config,
        restart_required=tuple(".".join(path) for path in restart),
        removed=tuple(name for name in before if after.get(name) != before[name]),
        added=tuple(name for name in after if before.get(name) != after[name]),
        model=model_file_differs or old.model != config.model,
        recipes=old.recipes != config.recipes,
        decision=old.decision != config.decision,
        outputs=(
            [(c.id, c.outputs) for c in old.cameras] != [(c.id, c.outputs) for c in config.cameras]
            or old.decision.outputs != config.decision.outputs
            or old.decision.alarm != config.decision.alarm
        ),
        broker=config.mqtt.replace(snapshots=old.mqtt.snapshots) != old.mqtt,
        snapshots=config.mqtt.snapshots != old.mqtt.snapshots,
        history=old.history != config.history,
        archive=old.archive != config.archive,
        health=old.health != config.health,
        log=old.log != config.log,
    )


def _restart_keys(section: Model, *, embedded: bool) -> Iterator[tuple[str, ...]]:
    """The paths of the keys that are marked `NeedsRestart`, in the file's order."""
    for name, field in type(section).model_fields.items():
        marks = [mark for mark in field.metadata if isinstance(mark, NeedsRestart)]
        if any(embedded or not mark.embedded for mark in marks):
            yield (name,)
        elif isinstance(value := getattr(section, name), Model):
            yield from ((name, *rest) for rest in _restart_keys(value, embedded=embedded))


def _with_old_values(new: Config, old: Config, keys: tuple[tuple[str, ...], ...]) -> Config:
    """The new configuration with the old values of some keys."""
    mqtt = new.mqtt
    old_mqtt = {key[1]: _value(old, key) for key in keys if key[0] == "mqtt"}
    if "embedded" in old_mqtt:  # settings of external and embedded brokers do not mix
        mqtt = old.mqtt.replace(snapshots=new.mqtt.snapshots)
    elif old_mqtt:
        mqtt = new.mqtt.replace(**old_mqtt)
    sections = {key[0]: _value(old, key) for key in keys if len(key) == 1}
    return new.replace(**sections, mqtt=mqtt)


def _value(config: Config, path: tuple[str, ...]) -> object:
    value: object = config
    for name in path:
        value = getattr(value, name)
    return value
