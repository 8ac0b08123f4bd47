"""Captures: what happens to packets, as a pcapng file that Wireshark opens."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from sansice import __version__
from sansice.simulation._world._packets import Fate, Passage

from ._fates import is_loss, reason
from ._headers import wire_bytes
from ._pcapng import INBOUND, OUTBOUND, interface, packet, section

_OUTBOUND = (Fate.SENT, Fate.TRANSLATED, Fate.FORWARDED)
_SEEN = (*_OUTBOUND, Fate.ARRIVED, Fate.DELIVERED)  # at an interface; every other fate is a remark about a packet seen before

_BILLION = 1_000_000_000


class Writable(Protocol):
    """A binary file, open for writing."""

    def write(self, data: bytes, /) -> object:
        """Append."""
        ...


class Capture:
    """Writes every packet that is seen at an interface of a host, router or NAT into a pcapng file, as it happens.

    Each interface of the world is one of the file, under its name: ``alice 192.168.1.2``, ``home A outside``. A packet on
    its way is there once for each interface it passes, with the addresses that it has there. Where it goes no further, a
    comment says why: ``dropped: filtering at home B``. The headers are whole, checksums too; times are virtual seconds
    after the network's ``unix``. The same run gives the same bytes.

    Example::

        with open("calls.pcapng", "wb") as file, Capture(file) as capture:
            simulate(scene("two-homes"), observers=[capture])

    The file is whole when the ``with`` block, or `close`, has ended. Does not close ``file``.

    Args:
        file: open for writing, binary.
        unix: what the wall clock reads at virtual time 0, as `Network` was told.
        comment: about the whole file, for a person.
    """

    def __init__(self, file: Writable, *, unix: float = 1_700_000_000.0, comment: str = "") -> None:
        self._file = file
        self._start = round(unix * _BILLION)
        self._interfaces: dict[str, int] = {}
        # The last packet seen waits for remarks: what a link or a NAT does to it is told right after it.
        self._last: Passage | None = None
        self._remarks: list[str] = []
        file.write(section(f"sansice {__version__}", comment))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __call__(self, passage: Passage) -> None:
        """Take a line of the trace; an observer for `Network.watch`."""
        completes = self._last is not None and _completes(passage, self._last)
        if passage.fate in _SEEN:
            if not completes:
                self._write_last()
                self._last = passage
            return
        if self._last is None or not (completes or _is_same(passage, self._last)):
            self._write_last()
            self._last = passage
        self._remarks.append(_remark(passage))

    def close(self) -> None:
        """Write what is still waiting."""
        self._write_last()

    def _write_last(self) -> None:
        last, remarks = self._last, self._remarks
        if last is None:
            return
        self._last, self._remarks = None, []
        number = self._number_of(last.interface or last.place)
        direction = OUTBOUND if last.fate in _OUTBOUND else INBOUND
        self._file.write(packet(number, self._nanoseconds(last.time), wire_bytes(last.packet), direction, remarks))

    def _number_of(self, name: str) -> int:
        number = self._interfaces.get(name)
        if number is None:
            number = self._interfaces[name] = len(self._interfaces)
            self._file.write(interface(name))
        return number

    def _nanoseconds(self, time: float) -> int:
        return self._start + round(time * _BILLION)


def _is_same(passage: Passage, last: Passage) -> bool:
    return last.packet == passage.packet and last.time == passage.time


def _completes(passage: Passage, last: Passage) -> bool:
    """Whether a whole datagram is no packet on the wire: a host has just made it of fragments, of which this was the last."""
    if last.fate is not Fate.ARRIVED or last.packet.fragment is None or passage.packet.fragment is not None:
        return False
    ends = passage.fate is Fate.DELIVERED or is_loss(passage.fate)
    return ends and last.interface == passage.interface and last.time == passage.time


def _remark(passage: Passage) -> str:
    if is_loss(passage.fate):
        return f"dropped: {reason(passage.fate)} at {passage.place}"
    return f"{passage.fate.value} ({passage.place})"
