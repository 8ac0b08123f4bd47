"""Runs the program of docs/howto/connect.md twice, as two people would."""

import re
import subprocess
import sys

SECONDS = 30
command = [sys.executable, "-P", "-X", "dev", sys.argv[1]]
pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

with subprocess.Popen([*command, "listen", "127.0.0.1", "0"], **pipes) as listening:
    port = re.fullmatch(r"listening on port (\d+)\n", listening.stdout.readline())[1]
    with subprocess.Popen([*command, "call", "127.0.0.1", port], **pipes) as calling:
        said = [end.communicate(timeout=SECONDS) for end in (calling, listening)]

for (out, err), end in zip(said, (calling, listening), strict=True):
    assert (end.returncode, err) == (0, ""), err
    assert re.fullmatch(r"connected: .+\nreceived: b'hello'\n", out), out
