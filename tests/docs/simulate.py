"""Runs the commands of docs/howto/simulate.md, which need no network. The argument is the path of the block."""

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

HANG = 60  # seconds
PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "simulate.md"
SANSICE = [sys.executable, "-P", "-X", "dev", "-m", "sansice_cli"]


def main(block):
    Path("homes.toml").write_text(re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1])
    lines = [line for line in block.read_text(encoding="utf-8").splitlines() if line.startswith("sansice ")]
    assert lines
    for line in lines:
        command = shlex.split(line)
        done = subprocess.run([*SANSICE, *command[1:]], capture_output=True, text=True, timeout=HANG)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert "Warning" not in done.stderr, done.stderr
        assert done.stdout, line
        for option, name in itertools.pairwise(command):
            if option in ("--pcap", "--svg"):
                assert Path(name).stat().st_size > 1000, name
            if option == "--out":
                assert Path(name, "answers.parquet").stat().st_size > 1000, name


main(Path(sys.argv[1]))
