"""`pylon:SERIAL`: industrial GigE and USB3 cameras by Basler's pypylon (extra `pylon`)."""

import contextlib
import time
from typing import Any

import cv2
import numpy as np

from edge.capture.camera import CameraRead, DrivenCamera, Pixels
from edge.capture.drivers.clock_offset import ClockOffset
from edge.config import CameraConfig
from edge.core.clock import StopEvent
from edge.core.errors import CameraError

_NANOSECONDS = 1e9


class PylonCamera(DrivenCamera):
    """A camera with GenICam. `SERIAL` may be left out when there is one camera.

    `controls` are GenICam features by name; a command is executed when its value is true.
    """

    def __init__(self, config: CameraConfig) -> None:
        """Opens, configures and starts the camera. Raises CameraError."""
        try:
            from pypylon import genicam, pylon
        except ImportError:
            raise CameraError(
                f"{config.source}: needs pypylon, which is not installed; "
                "run: pip install 'edge-inspect[pylon]'"
            ) from None
        self._name = config.source
        self._timeout_ms = int(config.timeout_s * 1000)
        self._pylon, self._error = pylon, genicam.GenericException
        self._offset = ClockOffset()
        self._tick: float | None = None
        self._result: Any = None
        self._camera = self._attach(config.rest)
        try:
            self._camera.Open()
            self._configure(config)
            self._ticks_per_s = self._tick_frequency()
            self._converter = pylon.ImageFormatConverter()
            self._converter.OutputPixelFormat = pylon.PixelType_BGR8packed
            self._camera.StartGrabbing(pylon.GrabStrategy_LatestImageOnly)
        except self._error as error:
            self.close()
            raise CameraError(
                f"{self._name}: cannot be opened ({_sentence(error)}); another program may hold it"
            ) from None
        except CameraError:
            self.close()
            raise

    def grab(self, stop: StopEvent) -> bool:  # noqa: ARG002  pypylon cannot be interrupted
        self._release()
        try:
            self._result = self._camera.RetrieveResult(
                self._timeout_ms, self._pylon.TimeoutHandling_Return
            )
            if not self._result.IsValid():
                raise CameraError(
                    f"{self._name}: no frame for {self._timeout_ms / 1000:g} s; check its cable, "
                    "its power and its trigger",
                    kind="silent",
                )
        except self._error as error:
            raise CameraError(f"{self._name}: is lost ({_sentence(error)})") from None
        ticks = int(self._result.TimeStamp)
        now = time.monotonic()
        self._tick = self._offset.capture_tick(ticks / self._ticks_per_s, now) if ticks else None
        return True

    def retrieve(self, target: Pixels | None) -> CameraRead:
        """The frame as BGR; a buffer that the driver reports as failed is a fault."""
        if not self._result.GrabSucceeded():
            why = self._result.ErrorDescription
            return CameraRead(None, fault=f"{self._name}: a picture came damaged ({why})")
        if self._result.PixelType == self._pylon.PixelType_Mono8:
            with self._result.GetArrayZeroCopy() as grey:
                pixels = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR, dst=target)
        else:
            try:
                pixels = self._converter.Convert(self._result).Array
            except self._error as error:
                return CameraRead(
                    None, fault=f"{self._name}: a picture is damaged ({_sentence(error)})"
                )
        return CameraRead(np.asarray(pixels, np.uint8), captured_tick=self._tick)

    def close(self) -> None:
        self._release()
        with contextlib.suppress(self._error):  # it may be unplugged
            self._camera.Close()

    def set_feature(self, name: str, value: bool | int | float | str) -> None:
        """Sets a GenICam feature, or executes a command when `value` is True. The camera may be
        grabbing. Raises CameraError."""
        node = self._camera.GetNodeMap().GetNode(name)
        try:
            if node is None or not self._writable(name):
                raise CameraError(f"{self._name}: {name}: this camera does not take it; remove it")
            if hasattr(node, "Execute"):
                if value is True:
                    node.Execute()
            elif isinstance(value, bool) and not _is_boolean(node):
                # YAML reads On and Off as true and false
                node.FromString("On" if value else "Off")
            else:
                node.FromString(str(value).lower() if isinstance(value, bool) else str(value))
        except self._error as error:
            raise CameraError(f"{self._name}: {name}: {value!r}: {_sentence(error)}") from None

    def _attach(self, serial: str) -> Any:
        factory = self._pylon.TlFactory.GetInstance()
        devices = list(factory.EnumerateDevices())
        serials = [device.GetSerialNumber() for device in devices]
        if serial and serial not in serials:
            raise CameraError(
                f"{self._name}: there is no such camera (found {', '.join(serials) or 'none'}); "
                "check cable, power and, for GigE, the address"
            )
        if not serial and len(devices) != 1:
            raise CameraError(
                f"{self._name}: {len(devices)} cameras are there; name one: "
                f"{', '.join('pylon:' + text for text in serials) or 'check the cable'}"
            )
        chosen = devices[serials.index(serial) if serial else 0]
        try:
            return self._pylon.InstantCamera(factory.CreateDevice(chosen))
        except self._error as error:
            raise CameraError(f"{self._name}: cannot be opened ({_sentence(error)})") from None

    def _configure(self, config: CameraConfig) -> None:
        features: dict[str, bool | int | float | str | None] = {
            "PixelFormat": config.pixel_format,
            "Width": config.width,
            "Height": config.height,
        }
        if config.fps is not None:
            features["AcquisitionFrameRateEnable"] = True
            rate = "AcquisitionFrameRate"  # GigE cameras before SFNC 2 have …Abs
            features[rate if self._writable(rate) else f"{rate}Abs"] = config.fps
        features |= config.controls
        for name, value in features.items():
            if value is not None:
                self.set_feature(name, value)

    def _writable(self, name: str) -> bool:
        from pypylon import genicam

        node = self._camera.GetNodeMap().GetNode(name)
        return node is not None and bool(genicam.IsWritable(node))

    def _tick_frequency(self) -> float:
        try:
            return float(self._camera.GetNodeMap().GetNode("GevTimestampTickFrequency").Value)
        except (self._error, AttributeError):
            return _NANOSECONDS  # USB3 and newer GigE cameras

    def _release(self) -> None:
        if self._result is not None:
            self._result.Release()
            self._result = None


def _is_boolean(node: Any) -> bool:
    return type(node).__name__.startswith(("Boolean", "IBoolean"))


def _sentence(error: Exception) -> str:
    """The first sentence of a GenICam error, without its file and line."""
    return str(error).partition(" : ")[0].partition("\n")[0].strip().rstrip(".")
