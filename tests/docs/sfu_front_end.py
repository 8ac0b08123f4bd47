"""Runs what docs/howto/one_port.md says of sfu_front_end.py: its demonstration, and its signalling without a client."""

import json
import subprocess
import sys
from pathlib import Path

SECONDS = 30
ROOT = Path(__file__).resolve().parents[2]
command = [sys.executable, "-X", "dev", str(ROOT / "docs" / "examples" / "sfu_front_end.py")]

shown = Path(sys.argv[2]).read_text(encoding="utf-8")
demo = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
assert (demo.returncode, demo.stdout) == (0, shown), demo

NONSENSE = [{"from": "alice", "sdp": "nonsense"}, {"from": "alice"}]
said = "".join(json.dumps(line) + "\n" for line in NONSENSE)
served = subprocess.run(
    [*command, "--listen", "127.0.0.1:0"], input=said, capture_output=True, text=True, timeout=SECONDS, check=False
)
assert served.returncode == 0, served
(answer,) = served.stdout.splitlines()
assert json.loads(answer)["to"] == "alice"
assert "error" in json.loads(answer), answer
