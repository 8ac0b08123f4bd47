"""What a test's network did, for the report of its failure."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sansice.simulation import Capture, Network

_LONGEST = 120  # characters of a file's name: names of parametrised tests have no end


class Witness:
    """Has every packet of a network written to a file, which stays only if somebody wants to hear of it."""

    def __init__(self, network: Network, capture: Capture, path: Path) -> None:
        self._network = network
        self._capture = capture
        self._path = path
        self.is_wanted = False

    def tell(self) -> str:
        """The seed, what was lost, and where all packets are: the lines for a report."""
        self.is_wanted = True
        self._capture.close()
        seed, lost = self._network.seed, self._network.lost
        ends = ", ".join(f"{count} {fate.value}" for fate, count in sorted(lost.items(), key=lambda one: one[0].name))
        return "\n".join(
            [
                f"seed {seed!r}: the same again with --network-seed={str(seed)!r}",
                f"{self._network.now:.6f} s have passed; packets that reached no socket: {ends or 'none'}",
                f"packets: {self._path}",
            ]
        )


WITNESS = pytest.StashKey[Witness]()


@contextlib.contextmanager
def witness(request: pytest.FixtureRequest, network: Network, *, unix: float | None = None) -> Iterator[None]:
    """Watch a network for the time of the block, on behalf of the test that asked for it."""
    from sansice.simulation import Capture

    path = _folder(request) / f"{_file_name(request.node.nodeid)}.pcapng"
    options: dict[str, Any] = {} if unix is None else {"unix": unix}
    with path.open("wb", buffering=2**16) as file, Capture(file, comment=request.node.nodeid, **options) as capture:
        network.watch(capture)
        seen = request.node.stash[WITNESS] = Witness(network, capture, path)
        yield
    if not seen.is_wanted:
        path.unlink()


def _folder(request: pytest.FixtureRequest) -> Path:
    asked: str | None = request.config.getoption("network_captures")
    if asked is None:
        temporary: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        return temporary.mktemp("network")
    folder = Path(asked)
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _file_name(nodeid: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", nodeid)[-_LONGEST:].strip("-")
