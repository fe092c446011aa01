"""A camera process: reads one camera by its driver, for the daemon.

The fork server forks it. It ends when the daemon closes the channel or ends itself.
"""

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from socket import socket

from edge.capture.camera import CameraRead, DrivenCamera, decode_read, fault_kind
from edge.capture.isolation.channel import Channel, ChannelClosed
from edge.capture.isolation.frame_ring import FrameRingWriter, Shape
from edge.capture.isolation.messages import (
    MAX_TEXT,
    CameraLost,
    CameraNote,
    CameraOpened,
    ChildStarted,
    FrameFault,
    FrameReady,
    FrameRequest,
    FrameUrgent,
    MalformedMessageError,
    OpenDevice,
)
from edge.capture.isolation.prctl import leave_no_core, set_process_name
from edge.config import CameraConfig, read_secret
from edge.core.clock import StopEvent
from edge.core.errors import CameraError
from edge.core.jpeg import WHOLE, JPEGDecoding
from edge.core.output import traceback_lines, write_error
from edge.core.redaction import redact
from edge.core.text import one_line

_START_OF_SCAN = b"\xff\xda"  # the JPEG header before it may hold the time

Opener = Callable[[CameraConfig], DrivenCamera]


class DuplicateFrameDetector:
    """Counts identical frames of a JPEG camera, without decoding them.

    `repeats` is the number of frames right before the last one that were identical to it.
    """

    def __init__(self) -> None:
        self.repeats = 0
        self._previous = memoryview(b"")

    def add(self, read: CameraRead) -> None:
        """The next frame. A frame without a JPEG is never identical to another."""
        data = b"" if read.encoded is None else bytes(read.encoded.data)
        scan = memoryview(data)[max(0, data.find(_START_OF_SCAN)) :]
        same = len(scan) > 0 and scan == self._previous  # stops at the first byte that differs
        self.repeats = self.repeats + 1 if same else 0
        self._previous = scan


def main(socket_fd: int, memory: int, opener: Opener) -> None:
    """Serves until the daemon closes the channel.

    `memory`: file descriptor of the frame ring, which the daemon sizes.
    """
    channel = Channel(socket(fileno=socket_fd))
    with contextlib.suppress(ChannelClosed):  # the camera was closed, or the daemon has ended
        _serve(channel, memory, opener)


def _serve(channel: Channel, memory: int, opener: Opener) -> None:
    setup = channel.receive(None)
    if not isinstance(setup, OpenDevice):
        raise MalformedMessageError(f"OpenDevice comes first, not {setup!s:.80}")
    config = CameraConfig.read(setup.config)
    _prepare_process(config.id)
    channel.send(ChildStarted(os.getpid()))
    try:
        camera = opener(config)
        try:
            _stream(channel, memory, camera, config)
        finally:
            camera.close()
    except CameraError as error:
        channel.send(CameraLost(_public(str(error), config), fault_kind(error.kind)))
    except ChannelClosed:
        raise
    except Exception as error:  # noqa: BLE001  outermost loop of this process
        for line in traceback_lines(error):
            write_error(_public(line, config))
        reason = f"unexpected fault in the camera's driver ({error!r})"
        channel.send(CameraLost(_public(reason, config), "lost"))


def _public(text: str, config: CameraConfig) -> str:
    """A driver's text for the daemon: libraries quote addresses with their passwords."""
    secrets: list[str] = []
    if config.credentials_file is not None:
        with contextlib.suppress(OSError, ValueError):
            line = read_secret(config.credentials_file).strip()
            secrets = [line, *line.split(":", 1)]
    return one_line(redact(text, config.source, secrets))[:MAX_TEXT]


def _prepare_process(camera_id: str) -> None:
    leave_no_core()
    set_process_name(f"camera-{camera_id}")
    for number in (signal.SIGINT, signal.SIGTERM):  # the daemon stops this process by the channel
        signal.signal(number, signal.SIG_IGN)
    os.dup2(2, 1)  # a driver's prints belong into the log, not into the output of a command


def _stream(channel: Channel, memory: int, camera: DrivenCamera, config: CameraConfig) -> None:
    """Grabs every frame, and answers each request with the next one.

    With a trigger it compares all JPEGs, so that frames without a request show a frozen camera.
    """
    detect_duplicates = config.trigger.announces
    stop = StopEvent()
    shape = _first_shape(channel, camera, stop)
    channel.send(CameraOpened(*shape, gives_jpeg=camera.gives_jpeg))
    writer: FrameRingWriter | None = None  # the daemon sizes the memory before it sends a request
    duplicates = DuplicateFrameDetector() if detect_duplicates and camera.gives_jpeg else None
    passed_over = 1  # the first frame has only shown the size
    answered_tick = -math.inf
    request: FrameRequest | None = None
    while True:
        _grab(channel, camera, stop)
        grabbed_tick = time.monotonic()
        jpeg: CameraRead | None = None
        if duplicates is not None:
            jpeg = camera.retrieve_encoded()
            duplicates.add(jpeg)
        request = _pending_request(channel, request)
        if request is None or grabbed_tick - answered_tick < request.min_interval_s:
            passed_over += 1
            continue
        writer = writer or FrameRingWriter(memory, shape)
        read = _retrieve(camera, jpeg, writer, request)
        repeats = 0 if duplicates is None else duplicates.repeats
        if (reason := _unusable(read, writer, shape)) is not None:
            answer: FrameReady | FrameFault = FrameFault(
                request.number, _public(reason, config), read.fault_kind, passed_over, repeats
            )
        else:
            assert read.pixels is not None
            evidence = _evidence(read, writer)
            writer.put(request.slot, request.number, read.pixels, evidence)
            taken = read.captured_tick
            answer = FrameReady(
                number=request.number,
                captured_tick=grabbed_tick if taken is None else min(taken, grabbed_tick),
                passed_over=passed_over,
                repeats=repeats,
                reduction=read.reduced,
                luma=read.pixels.shape[2] == 1,
                jpeg_bytes=len(evidence),
            )
        channel.send(answer)
        passed_over, answered_tick, request = 0, grabbed_tick, None


def _pending_request(channel: Channel, request: FrameRequest | None) -> FrameRequest | None:
    """Receives all messages and returns the request to answer; `request`: the one before them."""
    while (message := channel.receive(0)) is not None:
        match message:
            case FrameRequest():
                request = message
            case FrameUrgent(number):
                if request is not None and request.number == number:
                    request = replace(request, min_interval_s=0.0)
            case _:
                raise MalformedMessageError(f"a camera process cannot handle {message!s:.80}")
    return request


def _grab(channel: Channel, camera: DrivenCamera, stop: StopEvent) -> None:
    if not camera.grab(stop):
        raise CameraError("the stream has ended; check the camera or the server")
    for text in camera.take_notes():
        channel.send(CameraNote(text[:MAX_TEXT]))


def _first_shape(channel: Channel, camera: DrivenCamera, stop: StopEvent) -> Shape:
    """The shape of the first frame that can be decoded; the daemon limits the time.

    Of a JPEG that is damaged behind its header, the size is enough: so a camera whose JPEGs are all
    damaged is open, and each verdict names the damage.
    """
    while True:
        _grab(channel, camera, stop)
        encoded = camera.retrieve_encoded() if camera.gives_jpeg else None
        read = camera.retrieve(None) if encoded is None else decode_read(encoded, JPEGDecoding(8))
        if read.pixels is not None:
            return read.size[1], read.size[0], 3
        if encoded is not None and encoded.encoded is not None:
            header = encoded.encoded.header
            return header.height, header.width, 3


def _retrieve(
    camera: DrivenCamera, jpeg: CameraRead | None, writer: FrameRingWriter, request: FrameRequest
) -> CameraRead:
    """The grabbed frame, decoded as requested; the driver may write it into its slot.

    `jpeg`: the frame's JPEG when it was retrieved before.
    """
    writer.begin(request.slot)
    how = JPEGDecoding(request.reduction, request.luma)
    if camera.gives_jpeg and (jpeg is not None or how != WHOLE):
        return decode_read(jpeg or camera.retrieve_encoded(), how)
    return camera.retrieve(writer.target(request.slot))


def _unusable(read: CameraRead, writer: FrameRingWriter, shape: Shape) -> str | None:
    """Why the frame cannot be written into the ring; None when it can.

    Raises CameraError when the size has changed: the ring has the size of the first frame.
    """
    if read.pixels is None:
        return str(read.fault)
    width, height = read.size
    if (height, width) != shape[:2]:
        raise CameraError(
            f"wrong size: pictures were {shape[1]}×{shape[0]}, now {width}×{height}; check "
            "the camera's settings",
            kind="wrong_size",
        )
    if not writer.has_room(read.pixels, _evidence(read, writer)):
        return "a JPEG without compression"
    return None


def _evidence(read: CameraRead, writer: FrameRingWriter) -> bytes | bytearray | memoryview:
    """The camera's own JPEG, which the archive keeps as evidence; empty without one.

    A JPEG larger than its pixels does not fit beside a frame that was decoded whole and in colour.
    The archive then keeps these pixels, which say the same.
    """
    if read.encoded is None or read.pixels is None:
        return b""
    whole = read.reduced == 1 and read.pixels.shape[2] == 3
    fits = writer.has_room(read.pixels, read.encoded.data)
    return read.encoded.data if fits or not whole else b""
