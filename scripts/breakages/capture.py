"""Breakages of edge/capture, and the tests that must notice them."""

from scripts.breakages.breakage import Breakage
from scripts.code_edit import Edit

CAPTURE = [
    Breakage(
        "a repeated picture is taken for a part",
        Edit(
            "edge.capture.reader:Reader._take",
            "self._mailbox.note_rejected(self.id, rejection.why)\nreturn",
            "",
        ),
        "tests/edge/capture/test_repeats.py",
    ),
    Breakage(
        "a frozen camera is trusted",
        Edit(
            "edge.capture.quality:FrameChecks._check_repeats",
            "not repeats and (not _identical(previous, pixels)) "
            "and (not _identical(accepted, pixels))",
            "pixels.size",
        ),
        "tests/edge/capture/test_reader_trust.py",
    ),
    Breakage(
        "a camera that froze while idle is trusted",
        Edit(
            "edge.capture.isolation.child:DuplicateFrameDetector.add",
            "self.repeats + 1 if same else 0",
            "0 * same",
        ),
        "tests/edge/capture/test_demand.py",
    ),
    Breakage(
        "a picture that its driver marks as damaged is judged",
        Edit(
            "edge.capture.drivers.v4l2_buffers:BufferFlags.next_is_damaged",
            "bool(min(waiting)[1] & _ERROR)",
            "False",
        ),
        "tests/edge/capture/test_v4l2_buffers.py",
    ),
    Breakage(
        "an old picture is fresh",
        Edit(
            "edge.capture.quality:FrameChecks._check_age",
            "age_s <= self._limits.max_age_s",
            "age_s >= 0",
        ),
        "tests/edge/capture/test_reader_trust.py",
    ),
    Breakage(
        "a torn picture in shared memory is taken",
        Edit(
            "edge.capture.isolation.frame_ring:FrameRing.take",
            "head != (number, whole) or tail != (number,)",
            "head[0] > 1 << 62",
        ),
        "tests/edge/capture/test_frame_ring.py",
    ),
    Breakage(
        "a frame slot is reused while its picture is in use",
        Edit(
            "edge.capture.isolation.frame_ring:FrameRing.take",
            "np.asarray(_Picture(self, slot, whole))",
            "(np.asarray(_Picture(self, slot, whole)), self.give_back(slot))[0]",
        ),
        "tests/edge/capture/test_isolated_camera.py tests/edge/capture/test_frame_ring.py",
    ),
    Breakage(
        "a hung driver is left alive",
        Edit(
            "edge.capture.isolation.isolated_camera:IsolatedCamera._end",
            "self._handle.kill()",
            "",
        ),
        "tests/edge/capture/test_isolated_camera.py",
    ),
    Breakage(
        "a camera process that hangs outlives the daemon",
        Edit(
            "edge.capture.isolation.forkserver:ForkServer.run",
            "os.kill(pid, signal.SIGKILL)",
            "self._handles[pid].close()",
        ),
        "tests/edge/capture/test_forkserver.py",
    ),
    Breakage(
        "a camera process outlives the fork server",
        Edit(
            "edge.capture.isolation.forkserver:ForkServer._become_child",
            "die_with_parent(server)",
            "True",
        ),
        "tests/edge/capture/test_forkserver.py",
    ),
    Breakage(
        "a fork server that hangs is kept",
        Edit(
            "edge.capture.isolation.isolated_camera:IsolatedCamera._end",
            "self._fork_server.replace()",
            "",
        ),
        "tests/edge/capture/test_forkserver.py",
    ),
    Breakage(
        "inotify events beyond one buffer are lost",
        Edit(
            "edge.capture.sources.inotify:FolderWatch.complete",
            "len(data) > self._buffer_bytes - _MAX_EVENT",
            "False",
        ),
        "tests/edge/capture/test_folder_watched.py",
    ),
    Breakage(
        "brightness leaves a colour channel out",
        Edit(
            "edge.capture.quality:brightness",
            "grey += sample[..., 2]",
            "",
        ),
        "tests/edge/capture/test_light.py",
    ),
    Breakage(
        "a file is judged again after a restart",
        Edit(
            "edge.capture.sources.folder:FolderCamera._take",
            "self._asked(self._judged, receipt)",
            "False",
        ),
        "tests/edge/capture",
    ),
]
