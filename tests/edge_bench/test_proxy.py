"""The proxy between daemon and broker, over real sockets."""

import socket
import time

from edge_bench.proxy import Proxy, came_at
from tests.edge_bench.packet_samples import connect, publish
from tests.support.waiting import wait_until


def test_all_bytes_go_both_ways_and_verdicts_are_stamped() -> None:
    """What a client sends arrives as it is, the answer too, and each verdict, and nothing else,
    has the moment between sending and now."""
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
        came = b""
        while len(came) < len(stream):
            came += broker.recv(4096)
        assert came == stream
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


def test_time_before_anybody_looked_is_not_counted() -> None:
    """What lies in the socket for a while was handed over when it came."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        reader, _ = server.accept()
        reader.setsockopt(socket.SOL_SOCKET, 35, 1)

        def counted_s() -> float:
            client.sendall(b"x")
            sent = time.monotonic()
            while time.monotonic() < sent + 0.05:
                pass
            _, told, _, _ = reader.recvmsg(10, 256)
            assert came_at([]) >= sent + 0.05
            return came_at(told) - sent

        wait_until(lambda: counted_s() < 0.01)  # the kernel begins to stamp some time after
        assert -0.001 < counted_s() < 0.01
        client.close()
        reader.close()
