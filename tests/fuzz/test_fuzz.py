"""A short run of every target, and a fuzzer that is known to find what is there."""

import importlib.util
from pathlib import Path

import pytest

from fuzz._running import joined, pieces
from fuzz._seeds import SEEDS
from fuzz._targets import TARGETS

HERE = Path(__file__).parent
RUNS = 4000  # inputs a target here; `python tests/fuzz --runs 10000000` is for a long evening

# By its path, because a package's __main__ has no name to import it by.
_spec = importlib.util.spec_from_file_location("fuzz_command", HERE / "__main__.py")
command = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(command)

PLANTED = """
import sys
import atheris

def target(data):
    if data[:2] == b"\\x00\\x01" and len(data) > 8 and data[4] == 0x21:
        raise IndexError("planted")

sys.argv.pop(1)
atheris.Setup(sys.argv, target)
atheris.instrument_func(target)
atheris.Fuzz()
"""


@pytest.mark.long
@pytest.mark.parametrize("name", TARGETS)
def test_no_promise_is_broken_in_a_short_run(name, tmp_path):
    result = command.fuzz(name, RUNS, seed=1, kept=tmp_path / name)
    assert (result["runs"], result["found"]) == (RUNS, [])
    assert result["features"] > 10 * len(SEEDS[name])  # it saw the code, and not only the door


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_of_the_corpus_keeps_the_promises(name):
    folder = HERE / "corpus" / name
    for data in (*SEEDS[name], *(path.read_bytes() for path in sorted(folder.glob("*")))):
        TARGETS[name](data)


def test_planted_bug_is_found_and_its_input_kept(tmp_path):
    engine = tmp_path / "engine.py"
    engine.write_text(PLANTED)
    result = command.fuzz("planted", 1_000_000, seed=1, engine=engine, kept=tmp_path / "kept")
    (found,) = result["found"]
    assert Path(found).read_bytes().startswith(b"\x00\x01")


def test_engine_that_does_not_run_is_an_error_and_not_a_clean_result(tmp_path):
    engine = tmp_path / "engine.py"
    engine.write_text("raise SystemExit('no such module')")
    with pytest.raises(RuntimeError, match="no such module"):
        command.fuzz("message", 10, seed=1, engine=engine, kept=tmp_path / "kept")


def test_pieces_are_what_was_joined():
    parts = (b"abc", b"", b"\x00\x01")
    assert tuple(pieces(joined(*parts))) == parts
