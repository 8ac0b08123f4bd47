"""OpenSSL's own client asks our STUN server over TLS and DTLS."""

from __future__ import annotations

import subprocess

import pytest
import trio

from _certificates import Authority
from sansice.sockets import TlsConfig
from sansice.stun import ALPN_NAT_DISCOVERY
from sansice_trio import serve_stun

NAME = "stun.example"
SECONDS = 30
REQUEST = bytes.fromhex("000100002112a442") + b"transaction!"


@pytest.mark.parametrize(("transport", "options"), [("tls", ["-tls1_2"]), ("tls", ["-tls1_3"]), ("dtls", ["-dtls1_2"])])
async def test_openssl_verifies_the_server_and_gets_its_answer(tmp_path, transport, options):
    authority = Authority(tmp_path)
    tls = TlsConfig(authority.issue(NAME))
    async with serve_stun([f"{transport}:127.0.0.1:0"], tls=tls) as server:
        ((_, address),) = server.listening
        command = ["openssl", "s_client", "-connect", str(address), "-CAfile", str(authority.ca_file), *options]
        command += ["-verify_return_error", "-verify_hostname", NAME, "-servername", NAME, "-alpn", ALPN_NAT_DISCOVERY, "-quiet"]
        with trio.fail_after(SECONDS):
            process = await trio.lowlevel.open_process(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            try:
                await process.stdin.send_all(REQUEST)
                answer = b""
                while len(answer) < 32:
                    chunk = await process.stdout.receive_some(32)
                    assert chunk, "openssl has ended"
                    answer += chunk
            finally:
                process.kill()
                await process.wait()
                await process.stdin.aclose()
                await process.stdout.aclose()
    assert answer[:2] == b"\x01\x01"
    assert answer[8:20] == b"transaction!"
