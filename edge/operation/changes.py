"""What a new config.yaml changes, and which of it the running daemon can take over."""

from msgspec import Struct

from edge.config import Config

# What a running daemon is built upon: topics and numbers that consumers hold on to, files and
# ports that are held open.
_FIXED: tuple[tuple[str, ...], ...] = (
    ("station",),
    ("mqtt", "prefix"),
    ("mqtt", "embedded"),
    ("outbox",),
    ("web",),
)


class Changes(Struct, frozen=True):
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


def compare(old: Config, new: Config, *, model_differs: bool = False) -> Changes:
    """What lies between the configuration that runs and a new one.

    `model_differs`: the model file itself is another one, though under the same name.
    """
    restart: list[str] = []
    sections: dict[str, object] = {}
    for path in _fixed_paths(old):
        before, after = _at(old, path), _at(new, path)
        if before != after:
            restart.append(".".join(path))
    if "station" in restart:
        sections["station"] = old.station
    for name in ("outbox", "web"):
        if name in restart:
            sections[name] = getattr(old, name)
    mqtt = new.mqtt
    held = {
        path.removeprefix("mqtt."): _at(old, tuple(path.split(".")))
        for path in restart
        if path.startswith("mqtt.")
    }
    if "embedded" in held:  # plain and embedded brokers have little in common
        mqtt = old.mqtt.changed(snapshots=new.mqtt.snapshots)
    elif held:
        mqtt = new.mqtt.changed(**held)
    config = new.changed(**sections, mqtt=mqtt)
    before_ = {camera.id: camera for camera in old.cameras}
    after_ = {camera.id: camera for camera in config.cameras}
    gone = tuple(name for name in before_ if after_.get(name) != before_[name])
    come = tuple(name for name in after_ if before_.get(name) != after_[name])
    return Changes(
        config=config,
        restart_required=tuple(restart),
        gone=gone,
        come=come,
        model=model_differs or old.model != config.model,
        decision=old.decision != config.decision,
        wires=(
            [(c.id, c.outputs) for c in old.cameras] != [(c.id, c.outputs) for c in config.cameras]
            or old.decision.outputs != config.decision.outputs
            or old.decision.alarm != config.decision.alarm
        ),
        broker=config.mqtt.changed(snapshots=old.mqtt.snapshots) != old.mqtt,
        snapshots=config.mqtt.snapshots != old.mqtt.snapshots,
        archive=old.archive != config.archive,
        health=old.health != config.health,
        log=old.log != config.log,
    )


def _fixed_paths(old: Config) -> tuple[tuple[str, ...], ...]:
    if old.mqtt.embedded:  # the broker in this process listens where it listens
        return (*_FIXED, ("mqtt", "host"), ("mqtt", "port"))
    return _FIXED


def _at(config: Config, path: tuple[str, ...]) -> object:
    value: object = config
    for name in path:
        value = getattr(value, name)
    return value
