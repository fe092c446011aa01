"""What runs in the process that reads one driven camera for the daemon.

The nursery forks it. It ends when the daemon ends, however that happens.
"""

import contextlib
import math
import os
import signal
import time
import traceback
from collections.abc import Callable
from socket import socket

from edge.capture.camera import DrivenCamera, Look, decoded
from edge.capture.channel import Channel, ChannelClosed, Message
from edge.capture.prctl import leave_no_core, set_process_name
from edge.capture.ring import RingWriter, Shape
from edge.capture.sameness import Sameness
from edge.config import CameraConfig
from edge.environment import Stop
from edge.errors import CameraError

_MAX_TEXT = 2000

Opener = Callable[[CameraConfig], DrivenCamera]


def main(socket_fd: int, memory: int, opener: Opener) -> None:
    """Serves until the daemon goes. `memory` is what the daemon will size for its pictures."""
    channel = Channel(socket(fileno=socket_fd))
    with contextlib.suppress(ChannelClosed):  # the daemon has closed the camera, or has gone
        _serve(channel, memory, opener)


def _serve(channel: Channel, memory: int, opener: Opener) -> None:
    setup = channel.receive(None)
    assert setup is not None
    config = CameraConfig.read(setup["config"])
    _become_a_child(config.id)
    channel.send({"hello": os.getpid()})
    try:
        camera = opener(config)
        try:
            _stream(channel, memory, camera, watched=config.trigger.announces)
        finally:
            camera.close()
    except CameraError as error:
        channel.send({"lost": str(error)[:_MAX_TEXT], "kind": error.kind})
    except ChannelClosed:
        raise
    except Exception as error:  # noqa: BLE001  outermost loop of this process
        traceback.print_exc()
        why = f"unexpected fault in the camera's driver ({error!r})"
        channel.send({"lost": why[:_MAX_TEXT], "kind": "lost"})


def _become_a_child(name: str) -> None:
    """Leaves stopping to the daemon, and leaves no core file when a driver crashes every few
    seconds."""
    leave_no_core()
    set_process_name(f"camera-{name}")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.dup2(2, 1)  # what a driver prints belongs into the log, not into a command's output


def _stream(channel: Channel, memory: int, camera: DrivenCamera, *, watched: bool) -> None:
    """`watched`: pictures that nobody sees tell whether the camera stands still."""
    stop = Stop()
    shape = _first_shape(camera, stop)
    channel.send({"opened": list(shape), "jpeg": camera.gives_jpeg})
    writer: RingWriter | None = None
    sameness = Sameness() if watched and camera.gives_jpeg else None
    over = 1  # the first picture has only shown the shape
    answered = -math.inf
    want: Message | None = None
    while True:
        _grab(camera, stop)
        at = time.monotonic()
        came = None if sameness is None else camera.retrieve_encoded()
        if sameness is not None and came is not None:
            sameness.see(came)
        want = _wanted(channel, want)
        if want is None or at - answered < want.get("every_s", 0.0):
            over += 1
            continue
        writer = writer or RingWriter(memory, shape)
        look = _look(camera, came, writer, want)
        answer = _answer(look, writer, want, shape, at) | {"over": over}
        channel.send(answer | {"repeats": 0 if sameness is None else sameness.repeats})
        over, answered, want = 0, at, None


def _wanted(channel: Channel, want: Message | None) -> Message | None:
    """What the daemon wants by now; before it was `want`. A picture that could wait may have become
    urgent."""
    while (message := channel.receive(0)) is not None:
        if "now" not in message:
            want = message
        elif want is not None and want["number"] == message["number"]:
            want = {key: value for key, value in want.items() if key != "every_s"}
    return want


def _grab(camera: DrivenCamera, stop: Stop) -> None:
    if not camera.grab(stop):
        raise CameraError("the stream has ended; check the camera or the server")


def _first_shape(camera: DrivenCamera, stop: Stop) -> Shape:
    """Of the first picture that can be decoded; the daemon watches the time."""
    while True:
        _grab(camera, stop)
        look = decoded(camera.retrieve_encoded(), 8) if camera.gives_jpeg else camera.retrieve(None)
        if look.pixels is not None:
            height, width, channels = look.pixels.shape
            return height * look.reduced, width * look.reduced, channels


def _look(camera: DrivenCamera, came: Look | None, writer: RingWriter, want: Message) -> Look:
    """The grabbed picture: whole, perhaps in the slot that the daemon lent already, or at the part
    of its size that the daemon wants. `came`: the JPEG, when it was asked for before."""
    slot, reduced = int(want["want"]), int(want.get("reduced", 1))
    writer.begin(slot)
    if camera.gives_jpeg and (came is not None or reduced > 1):
        return decoded(came or camera.retrieve_encoded(), reduced)
    return camera.retrieve(writer.target(slot))


def _answer(look: Look, writer: RingWriter, want: Message, shape: Shape, at: float) -> Message:
    """Writes the picture into the slot that the daemon lent, unless it is there, with the JPEG that
    it came as behind one that is reduced."""
    slot, number = int(want["want"]), int(want["number"])
    pixels = look.pixels
    if pixels is None:
        return {"number": number, "fault": str(look.fault)[:_MAX_TEXT], "kind": look.fault_kind}
    height, width, channels = pixels.shape
    if (height * look.reduced, width * look.reduced, channels) != shape:
        raise CameraError(
            f"wrong size: pictures were {shape[1]}×{shape[0]}, now "
            f"{width * look.reduced}×{height * look.reduced}; check the camera's settings",
            kind="wrong_size",
        )
    jpeg = look.encoded.data if look.encoded is not None and look.reduced > 1 else b""
    if not writer.has_room(pixels, jpeg):  # a JPEG as large as its pixels: no camera's
        return {"number": number, "fault": "a JPEG without compression", "kind": "decode"}
    writer.put(slot, number, pixels, jpeg)
    taken = look.captured_tick
    when = at if taken is None else min(taken, at)
    return {"number": number, "at": when, "reduced": look.reduced, "jpeg": len(jpeg)}
