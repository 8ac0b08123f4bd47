"""What `import sansice.ice` costs, against `import attrs`, each in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys

from bench._timing import Metric, interleave

_PROGRAM = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"


def run(rounds: int | None = None) -> dict[str, Metric]:
    """`time`: processor milliseconds of the import; the peer is also the one thing that the core depends on."""
    import_ms("attrs"), import_ms("sansice.ice")  # writes the byte code, where the installer has not
    metric = interleave(
        lambda: import_ms("sansice.ice"), lambda: import_ms("attrs"), unit="ms", peer_name="import attrs", rounds=rounds
    )
    return {"time": metric}


def import_ms(module: str) -> float:
    """Processor milliseconds that importing `module` takes in a new interpreter, its start not counted."""
    command = [sys.executable, "-I", "-c", _PROGRAM.format(module)]
    return 1e3 * float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
