"""A channel: one end of a socket pair that carries messages between two processes."""

import select
import socket
from collections.abc import Sequence

from edge.capture.isolation.messages import Message, decode, encode

_MAX_BYTES = 65_536


class ChannelClosed(Exception):  # noqa: N818  the ordinary end of a connection is no error
    """The other end is closed, or its process has ended."""


class Channel:
    """Messages arrive whole and in order. It closes when the other process ends."""

    def __init__(self, end: socket.socket) -> None:
        """`end` is a SOCK_SEQPACKET socket; the channel owns it from now on."""
        end.setblocking(False)
        self._socket = end
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    @staticmethod
    def pair() -> tuple["Channel", socket.socket]:
        """Our end, and the socket for the other process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return Channel(ours), theirs

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Sends without waiting. `fds`: open file descriptors; the other process gets copies.

        Raises ChannelClosed when the other end is closed, or does not read and the socket is full.
        """
        try:
            socket.send_fds(self._socket, [encode(message)], fds)
        except OSError as error:
            raise ChannelClosed from error

    def receive(self, timeout_s: float | None) -> Message | None:
        """The next message; None when none came within `timeout_s` seconds.

        0 does not wait, None waits without limit. Raises ChannelClosed, MalformedMessageError.
        """
        try:
            # A caller with timeout 0 has polled before: one system call is enough.
            if timeout_s != 0 and not self._poll.poll(
                None if timeout_s is None else timeout_s * 1000
            ):
                return None
            data = self._recv()
        except BlockingIOError:
            return None
        except OSError as error:
            raise ChannelClosed from error
        if not data:
            raise ChannelClosed
        return decode(data)

    def receive_with_fds(self, max_fds: int) -> tuple[Message, list[int]]:
        """The next message, which must have arrived, and its file descriptors.

        The caller closes the descriptors. Raises ChannelClosed, MalformedMessageError.
        """
        try:
            data, fds, _, _ = socket.recv_fds(
                self._socket, _MAX_BYTES, max_fds, socket.MSG_CMSG_CLOEXEC
            )
        except OSError as error:
            raise ChannelClosed from error
        if not data:
            raise ChannelClosed
        return decode(data), list(fds)

    def fileno(self) -> int:
        """For `poll`; -1 when the channel is closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Closes this end; the other end gets ChannelClosed. May be called twice."""
        self._socket.close()

    def _recv(self) -> bytes:
        try:
            return self._socket.recv(_MAX_BYTES)
        except ConnectionResetError:
            # The process ended before it read all; its own messages can still be read.
            return self._socket.recv(_MAX_BYTES)
