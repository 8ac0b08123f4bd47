"""In which order candidates are told: of one foundation, lower components no later than higher ones (RFC 8838 17)."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from sansice.ice._pair import LocalCandidate

Origin: TypeAlias = tuple[int, int, int]
"""Where candidates of one foundation come from: a stream, the number of an address, and that of a server or -1."""


class _Held(NamedTuple):
    origin: Origin
    component: int
    local: LocalCandidate


class TellingOrder:
    """Holds candidates of higher components back while lower ones of the same origin may still be found."""

    __slots__ = ("_expected", "_held")

    def __init__(self) -> None:
        self._expected: dict[Origin, list[int]] = {}
        self._held: list[_Held] = []

    def expect(self, origin: Origin, component: int) -> None:
        """This component may find candidates there."""
        self._expected.setdefault(origin, []).append(component)

    def offer(self, origin: Origin, component: int, local: LocalCandidate) -> bool:
        """Whether a candidate may be told now; if not, `done` or `release` brings it."""
        if not self._is_early(origin, component):
            return True
        self._held.append(_Held(origin, component, local))
        return False

    def done(self, origin: Origin, component: int) -> list[LocalCandidate]:
        """This component finds nothing there any more: what waited for that."""
        expected = self._expected.get(origin, [])
        if component in expected:
            expected.remove(component)
        if not expected:
            self._expected.pop(origin, None)
        ready = [held for held in self._held if not self._is_early(held.origin, held.component)]
        return self._take(ready)

    def release(self) -> list[LocalCandidate]:
        """Nothing more is expected: all that waited."""
        self._expected.clear()
        return self._take(list(self._held))

    def clear(self) -> None:
        """Forget everything."""
        self._expected.clear()
        self._held.clear()

    def _is_early(self, origin: Origin, component: int) -> bool:
        return any(other < component for other in self._expected.get(origin, ()))

    def _take(self, ready: list[_Held]) -> list[LocalCandidate]:
        self._held = [held for held in self._held if held not in ready]
        return [held.local for held in sorted(ready, key=lambda held: held.component)]
