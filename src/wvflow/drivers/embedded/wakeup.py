"""Calls between processes: datagrams on the loopback interface. Losing one costs at most a second.

An owner listens on a port of its own. ``ring`` wakes it; who ``follow``s it is woken in turn by each of its commits,
until it hasn't asked for it again for a while.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from wvflow.ports.store import Owner

SAFETY_NET_S: Final = 1.0
_HERE: Final = "127.0.0.1"
_WAKE, _FOLLOW = b"wake", b"follow"
_FOLLOWED_S = 3 * SAFETY_NET_S


class Ear(asyncio.DatagramProtocol):
    """Hears calls for ``heard``, and calls those who follow. ``port`` is 0 where loopback is not to be had."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self.port = 0
        self._heard = heard
        self._line: asyncio.DatagramTransport | None = None
        self._followers: dict[tuple[str, int], float] = {}

    async def open(self) -> None:
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=(_HERE, 0))
        except OSError:
            return

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # it is one
        self._line, self.port = transport, transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data == _FOLLOW:
            self._followers[addr] = asyncio.get_running_loop().time() + _FOLLOWED_S
        else:
            self._heard()

    def call_followers(self) -> None:
        """Tell those who follow that something was written."""
        if self._line is None or not self._followers:
            return
        now = asyncio.get_running_loop().time()
        self._followers = {addr: until for addr, until in self._followers.items() if until > now}
        for addr in self._followers:
            self._line.sendto(_WAKE, addr)

    def close(self) -> None:
        if self._line is not None:
            self._line.close()


class Line:
    """The end of who follows an owner. Close it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(SAFETY_NET_S)
        with suppress(OSError):  # without loopback it hears nothing
            self._socket.bind((_HERE, 0))

    def follow(self, owner: Owner | None) -> None:
        """Be woken by what the owner writes from here on; by nothing but the safety net when there is none."""
        if owner is not None and owner.port:
            _send(self._socket, _FOLLOW, owner.port)

    def wait(self) -> None:
        """Return at the next call, or after a second."""
        try:
            self._socket.recv(16)
        except TimeoutError:
            return
        except OSError:  # there is no line, or nobody at its other end any more
            threading.Event().wait(SAFETY_NET_S)

    def close(self) -> None:
        self._socket.close()


def ring(port: int) -> None:
    """Wake the owner that listens there; nothing is said when nobody does."""
    if port:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            _send(line, _WAKE, port)


def _send(line: socket.socket, what: bytes, port: int) -> None:
    try:
        line.sendto(what, (_HERE, port))
    except OSError:
        return
