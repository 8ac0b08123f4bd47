"""Runs what docs/howto/coturn.md says in place of a turnserver.conf: the file, and the commands that read it.

The argument is the path of a block. Addresses, ports and files of the document become those of this machine.
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
PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "coturn.md"
SANSICE = [sys.executable, "-P", "-X", "dev", "-m", "sansice_cli"]


def main(block):
    make_files()
    Path("serve.toml").write_text(localised(re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]))
    if block.suffix == ".toml":
        check(["--config", "serve.toml", "--check"])
        return
    for line in block.read_text(encoding="utf-8").splitlines():
        words = shlex.split(line)[2:]
        check(words) if "--check" in words else serve(words)


def check(words):
    done = subprocess.run([*SANSICE, "serve", *words], capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr, done.stderr


def serve(words):
    """It gets ready, listens over everything that is named, and ends when it is told to."""
    with subprocess.Popen([*SANSICE, "serve", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            ready = json.loads(line)
            assert {one.partition(":")[0] for one in ready["listening"]} == {"udp", "tcp", "tls", "dtls"}, ready
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=HANG)
            assert process.returncode == 0 and "Warning" not in errors, errors
        finally:
            process.kill()


def localised(text):
    """Any port of loopback, and files that are here."""
    return re.sub(r"192\.0\.2\.1:\d+", "127.0.0.1:0", text).replace("/etc/turn/", "")


def make_files():
    issued = trustme.CA().issue_cert("turn.example.org")
    Path("cert.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path("key.pem")
    Path("secret.txt").write_text("a-long-secret\n")


main(*map(Path, sys.argv[1:]))
