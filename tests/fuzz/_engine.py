"""The process that one target is fuzzed in: `python tests/fuzz/_engine.py TARGET FOLDER`, then arguments of libFuzzer.

FOLDER gets the target's seeds and whatever the fuzzer finds worth keeping.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path[0] = str(Path(__file__).resolve().parents[1])

with atheris.instrument_imports(include=["sansice"], enable_loader_override=False):
    from fuzz._seeds import SEEDS
    from fuzz._targets import TARGETS

name, folder = sys.argv.pop(1), sys.argv[1]
for number, seed in enumerate(SEEDS[name]):
    Path(folder, f"seed{number}").write_bytes(seed)
atheris.Setup(sys.argv, TARGETS[name])
atheris.Fuzz()
