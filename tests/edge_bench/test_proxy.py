"""The proxy between daemon and broker, over real sockets."""

import socket
import time

from edge_bench.proxy import Proxy, arrival_time
from tests.edge_bench.packet_samples import connect, publish
from tests.support.waiting import wait_until


def test_all_bytes_are_forwarded_and_verdicts_are_stamped() -> None:
    """Bytes arrive unchanged in both directions. Only verdicts get a time stamp, between
    sending and now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = Proxy(server.getsockname()[1], "inspection/bench/result")
        client = socket.create_connection(("127.0.0.1", proxy.port))
        broker, _ = server.accept()
        broker.settimeout(60)
        client.settimeout(60)
        stream = (
            connect(5)
            + publish("inspection/bench/health", b"{}", 5)
            + publish("inspection/bench/result", b'{"seq":1}', 5)
        )
        before = time.monotonic()
        client.sendall(stream)
        received = b""
        while len(received) < len(stream):
            received += broker.recv(4096)
        assert received == stream
        broker.sendall(b"\x40\x02\x00\x07")
        assert client.recv(4096) == b"\x40\x02\x00\x07"
        wait_until(lambda: not proxy.stamps.empty())
        stamp = proxy.stamps.get()
        assert stamp.body == b'{"seq":1}'
        assert before <= stamp.at <= time.monotonic()
        assert proxy.stamps.empty()
        client.close()
        assert broker.recv(4096) == b""
        proxy.close()
        broker.close()


def test_time_in_the_socket_buffer_is_not_counted() -> None:
    """Data that waits in the socket counts from its arrival."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        reader, _ = server.accept()
        reader.setsockopt(socket.SOL_SOCKET, 35, 1)

        def counted_s() -> float:
            client.sendall(b"x")
            sent = time.monotonic()
            while time.monotonic() < sent + 0.05:
                pass
            _, ancillary, _, _ = reader.recvmsg(10, 256)
            assert arrival_time([]) >= sent + 0.05
            return arrival_time(ancillary) - sent

        wait_until(lambda: counted_s() < 0.01)  # the kernel starts to stamp with a delay
        assert -0.001 < counted_s() < 0.01
        client.close()
        reader.close()
