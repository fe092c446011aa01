"""An RTSP camera: GStreamer's server, run by the system's Python (`make test-capture`).

/usr/bin/python3 tests/cameras/rtsp_server.py PORT WIDTH HEIGHT PATTERN
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  after require_version

port, width, height, pattern = sys.argv[1:5]
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory()
# x264 ultrafast: the test is about the network, not the picture.
factory.set_launch(
    f"( videotestsrc is-live=true pattern={pattern} ! "
    f"video/x-raw,width={width},height={height},framerate=20/1 ! "
    "videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! "
    "rtph264pay config-interval=1 name=pay0 pt=96 )"
)
factory.set_shared(True)
server.get_mount_points().add_factory("/stream", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
