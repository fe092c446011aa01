"""What a new config.yaml changes, and which of it the running daemon can take over."""

from collections.abc import Iterator
from dataclasses import dataclass

from edge.config.annotations import NeedsRestart
from edge.config.schema import Config
from edge.core.record import Model


@dataclass(frozen=True, slots=True)
class ConfigDiff:
    """`config` is what the daemon runs on from now: the new file, but for what needs a restart,
    whose keys `restart_required` names. `gone` and `come` are cameras; one that changed is in both.
    The rest says which parts are touched."""

    config: Config
    restart_required: tuple[str, ...]
    gone: tuple[str, ...]
    come: tuple[str, ...]
    model: bool
    decision: bool
    wires: bool
    broker: bool
    snapshots: bool
    archive: bool
    health: bool
    log: bool

    @property
    def touched(self) -> tuple[str, ...]:
        """The parts that change, by the names of config.yaml."""
        names = [f"cameras {name}" for name in dict.fromkeys((*self.gone, *self.come))]
        if self.broker:
            names.append("mqtt")
        if self.snapshots:
            names.append("mqtt.snapshots")
        names += [
            name
            for name in ("model", "decision", "archive", "health", "log")
            if getattr(self, name)
        ]
        return tuple(names)


def compare(old: Config, new: Config, *, model_differs: bool = False) -> ConfigDiff:
    """What lies between the configuration that runs and a new one.

    `model_differs`: the model file itself is another one, though under the same name.
    """
    restart = tuple(
        path for path in _fixed_keys(old, old.mqtt.embedded) if _at(old, path) != _at(new, path)
    )
    config = _without(new, old, restart)
    before_ = {camera.id: camera for camera in old.cameras}
    after_ = {camera.id: camera for camera in config.cameras}
    gone = tuple(name for name in before_ if after_.get(name) != before_[name])
    come = tuple(name for name in after_ if before_.get(name) != after_[name])
    return ConfigDiff(
        config=config,
        restart_required=tuple(".".join(path) for path in restart),
        gone=gone,
        come=come,
        model=model_differs or old.model != config.model,
        decision=old.decision != config.decision,
        wires=(
            [(c.id, c.outputs) for c in old.cameras] != [(c.id, c.outputs) for c in config.cameras]
            or old.decision.outputs != config.decision.outputs
            or old.decision.alarm != config.decision.alarm
        ),
        broker=config.mqtt.replace(snapshots=old.mqtt.snapshots) != old.mqtt,
        snapshots=config.mqtt.snapshots != old.mqtt.snapshots,
        archive=old.archive != config.archive,
        health=old.health != config.health,
        log=old.log != config.log,
    )


def _fixed_keys(section: Model, embedded: bool) -> Iterator[tuple[str, ...]]:
    """The keys that are marked `NeedsRestart`, in the file's order."""
    for name, field in type(section).model_fields.items():
        marks = [mark for mark in field.metadata if isinstance(mark, NeedsRestart)]
        if any(embedded or not mark.embedded for mark in marks):
            yield (name,)
        elif isinstance(value := getattr(section, name), Model):
            yield from ((name, *rest) for rest in _fixed_keys(value, embedded))


def _without(new: Config, old: Config, keys: tuple[tuple[str, ...], ...]) -> Config:
    """The new configuration with the old values of some keys."""
    mqtt = new.mqtt
    held = {key[1]: _at(old, key) for key in keys if key[0] == "mqtt"}
    if "embedded" in held:  # plain and embedded brokers have little in common
        mqtt = old.mqtt.replace(snapshots=new.mqtt.snapshots)
    elif held:
        mqtt = new.mqtt.replace(**held)
    sections = {key[0]: _at(old, key) for key in keys if len(key) == 1}
    return new.replace(**sections, mqtt=mqtt)


def _at(config: Config, path: tuple[str, ...]) -> object:
    value: object = config
    for name in path:
        value = getattr(value, name)
    return value
