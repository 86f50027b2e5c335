"""A TCP proxy on this machine that does to connections what bad networks do to them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import struct
import threading
from types import TracebackType
from typing import Literal, Self

# Towards the server, and back to the client.
Way = Literal["up", "down"]
Kind = Literal["reset", "cut", "freeze"]

_PIECE_BYTES = 2**16
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets.


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens to the first connection that gets so far.

    Attributes:
        way: The way that is counted, and spoilt.
        after: Bytes that get through before it happens, with the next one.
        kind: "reset" breaks the connection with a reset to both sides, "cut" ends it as a peer does
            that closes its socket, "freeze" lets nothing more through on this way until `thaw`.
    """

    way: Way
    after: int
    kind: Kind


class FaultyProxy:
    """Passes connections on to a server, well or badly.

    Attributes:
        address: Where it listens.
        fault: What happens next; None once it has.
        happened: Set when it has.
        passed: The bytes that got through so far, both ways together.
        piece_seconds: How long each 64 KiB, or what there is, waits on its way.

    Args:
        server: The server's address. One that is not there has connections reset.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = host, int(port)
        self.fault: Fault | None = None
        self.happened = threading.Event()
        self.passed = 0
        self.piece_seconds = 0.0
        self._thawed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{listening.getsockname()[1]}"
        self._loop.run_until_complete(asyncio.start_server(self._accept, sock=listening))
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def spoil(self, way: Way, after: int, kind: Kind) -> None:
        """Has a fault happen, once."""
        self.happened.clear()
        self._loop.call_soon_threadsafe(self._thawed.clear)
        self.fault = Fault(way, after, kind)

    def thaw(self) -> None:
        """Lets through what is frozen."""
        self._loop.call_soon_threadsafe(self._thawed.set)

    def reset(self) -> None:
        """Resets all connections."""
        self._loop.call_soon_threadsafe(self._reset, *self._writers)

    async def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection(*self._server)
        except OSError:
            self._reset(to_client)
            return
        self._writers |= {to_client, to_server}
        up = asyncio.create_task(self._pass("up", client, to_server))
        down = asyncio.create_task(self._pass("down", server, to_client))
        with contextlib.suppress(asyncio.CancelledError):  # The end of the proxy.
            done, others = await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            if any(task.exception() is not None for task in done):
                self._reset(to_client, to_server)
            for task in others:
                task.cancel()
        for writer in (to_client, to_server):
            writer.close()
        self._writers -= {to_client, to_server}

    async def _pass(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Passes bytes on, to the end of one of the sides.

        Raises:
            OSError: A side was reset, or is to be.
        """
        passed = 0
        while data := await reader.read(_PIECE_BYTES):
            if self.piece_seconds:
                await asyncio.sleep(self.piece_seconds)
            fault = self.fault
            if fault is not None and fault.way == way and passed + len(data) > fault.after:
                self.fault = None
                before = data[: max(0, fault.after - passed)]
                await self._write(writer, before)
                self.happened.set()
                if fault.kind == "reset":
                    raise ConnectionResetError
                if fault.kind == "cut":
                    return
                await self._thawed.wait()
                data = data[len(before) :]
                passed += len(before)
            await self._write(writer, data)
            passed += len(data)

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        self.passed += len(data)
        await writer.drain()

    def _reset(self, *writers: asyncio.StreamWriter) -> None:
        for writer in writers:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()

    async def _stop(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
