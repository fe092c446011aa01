"""Short messages between the daemon and a camera's process: JSON over a socket pair."""

import json
import select
import socket
from collections.abc import Sequence
from typing import Any

_MAX_BYTES = 65_536

Message = dict[str, Any]


class ChannelClosed(Exception):  # noqa: N818  it is the ordinary end of a conversation
    """The other side has gone."""


class Channel:
    """One end. A message arrives whole or not at all; the end of a process is heard at once."""

    def __init__(self, end: socket.socket) -> None:
        """Takes the socket over."""
        end.setblocking(False)
        self._socket = end
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    @staticmethod
    def pair() -> tuple["Channel", socket.socket]:
        """Our end, and the socket for the process that is to be started."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return Channel(ours), theirs

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """With open file descriptors, of which the other side gets copies. Raises ChannelClosed
        when nobody is there, or nobody has listened for long."""
        try:
            if fds:
                socket.send_fds(self._socket, [json.dumps(message).encode()], fds)
            else:
                self._socket.send(json.dumps(message).encode())
        except OSError as error:
            raise ChannelClosed from error

    def receive_with(self, most: int) -> tuple[Message, list[int]]:
        """The next message, which is there, and the file descriptors that came with it, at most
        `most`; whoever asks closes them. Raises ChannelClosed."""
        try:
            data, fds, _, _ = socket.recv_fds(
                self._socket, _MAX_BYTES, most, socket.MSG_CMSG_CLOEXEC
            )
            message = json.loads(data) if data else None
        except (OSError, ValueError) as error:
            raise ChannelClosed from error
        if not isinstance(message, dict):
            raise ChannelClosed
        return message, list(fds)

    def fileno(self) -> int:
        """For `poll`; -1 when closed."""
        return self._socket.fileno()

    def receive(self, timeout_s: float | None) -> Message | None:
        """The next message, or None after `timeout_s` seconds (0: at once, None: never).

        Raises ChannelClosed, also for what is no message.
        """
        try:
            # Who asks without waiting knows as a rule that something is there.
            if timeout_s != 0 and not self._poll.poll(
                None if timeout_s is None else timeout_s * 1000
            ):
                return None
            data = self._recv()
            message = json.loads(data) if data else None
        except BlockingIOError:
            return None
        except (OSError, ValueError) as error:
            raise ChannelClosed from error
        if not isinstance(message, dict):
            raise ChannelClosed
        return message

    def _recv(self) -> bytes:
        try:
            return self._socket.recv(_MAX_BYTES)
        except ConnectionResetError:
            # It went with something of ours unread; what it had said before is still there.
            return self._socket.recv(_MAX_BYTES)

    def close(self) -> None:
        """The other side hears it. May be called twice."""
        self._socket.close()
