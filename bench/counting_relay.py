"""A relay between a client and a server that counts the bytes that pass, both ways."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

_PIECE_BYTES = 2**18


class CountingRelay:
    """Passes one connection on to a server, until the client ends it.

    Attributes:
        address: Where clients connect to, "127.0.0.1:port".

    Args:
        server: The server's "host:port".
    """

    def __init__(self, server: str) -> None:
        host, port = server.rsplit(":", 1)
        self._server = socket.create_connection((host, int(port)))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._passed = [0, 0]  # To the server, and back.
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    @property
    def passed(self) -> int:
        """The bytes so far, both ways together."""
        return sum(self._passed)

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        way_back = threading.Thread(target=self._pass_on, args=(1, self._server, client))
        way_back.start()
        self._pass_on(0, client, self._server)
        way_back.join()
        client.close()
        self._server.close()

    def _pass_on(self, way: int, source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(_PIECE_BYTES):
            self._passed[way] += len(data)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
