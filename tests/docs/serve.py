"""Runs the commands of docs/howto/serve.md on this machine.

The argument is the path of a block. Addresses of the document become those of loopback, at any port.
"""

import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import trustme

HANG = 60  # seconds
PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "serve.md"
SANSICE = [sys.executable, "-P", "-X", "dev", "-m", "sansice_cli"]


def main(block):
    make_files()
    Path("serve.toml").write_text(localised(re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]))
    if block.suffix == ".toml":
        run(["serve", "--config", "serve.toml", "--check"])
        return
    lines = [line.strip().removeprefix("ExecStart=") for line in block.read_text(encoding="utf-8").splitlines()]
    commands = [shlex.split(localised(line))[1:] for line in lines if line.startswith("sansice ")]
    assert commands
    for words in commands:
        if words[0] == "serve" and "--check" not in words:
            serve(words)
        else:
            run(words)


def run(words):
    done = subprocess.run([*SANSICE, *words], capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr, done.stderr


def serve(words):
    """It gets ready, answers at its control socket where it has one, and ends when it is told to."""
    with subprocess.Popen([*SANSICE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line and json.loads(line)["listening"], process.stderr.read()
            if "--control-socket" in words:
                control()
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=HANG)
            assert process.returncode == 0 and "Warning" not in errors, errors
        finally:
            process.kill()


def control():
    """What the page asks there, but for the end of it."""
    lines = re.findall(r"^sansice (serve --control .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        if " drain " not in line and " kill " not in line:
            run(shlex.split(line))


def localised(text):
    return re.sub(r"192\.0\.2\.1:\d+", "127.0.0.1:0", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:0", text))


def make_files():
    trustme.CA().issue_cert("turn.example.org").private_key_and_cert_chain_pem.write_to_path("cert.pem")
    Path("users.txt").write_text("alice:a-password\n")
    Path("secret.txt").write_text("a-long-secret\n")


main(*map(Path, sys.argv[1:]))
