"""The command on files and on its standard input."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from sansice.stun import SOFTWARE, USERNAME, MessageClass, Method, TransactionId, encode, short_term_key
from sansice_cli.decode._input import MAX_INPUT, Input

SANSICE = [sys.executable, "-W", "error", "-m", "sansice_cli", "decode"]
ID = TransactionId(bytes(range(12)))


def decode(*arguments, data=b"", **variables):
    env = {**os.environ, **variables}
    done = subprocess.run([*SANSICE, *arguments], input=data, capture_output=True, timeout=60, env=env, check=False)
    output, errors = done.stdout.decode(errors="replace"), done.stderr.decode()
    assert "Traceback" not in output + errors
    return done.returncode, output, errors


def test_each_field_of_a_message_has_its_row(request_bytes):
    assert decode(data=request_bytes.hex().encode()) == (
        0,
        "STUN Binding request, 36 bytes: no integrity, fingerprint valid\n"
        "  0000  0001                                 type: Binding request\n"
        "  0002  0010                                 length: 16 bytes of attributes\n"
        "  0004  2112a442                             magic cookie\n"
        "  0008  00010203 04050607 08090a0b           transaction id\n"
        "  0014  80220001                             SOFTWARE, 1 byte\n"
        '  0018  78                                   "x"\n'
        "  0019  000000                               padding\n"
        "  001c  80280004                             FINGERPRINT, 4 bytes\n"
        f"  0020  {request_bytes[-4:].hex()}                             right\n",
        "",
    )


def test_json_says_the_same(request_bytes, tmp_path):
    path = tmp_path / "message"
    path.write_bytes(request_bytes)
    code, output, errors = decode("--json", str(path))
    assert (code, errors, output.count("\n")) == (0, "", 1)
    [message] = json.loads(output)["messages"]
    assert {key: message[key] for key in ("protocol", "length", "ok", "error", "transaction_id", "integrity", "fingerprint")} == {
        "protocol": "stun", "length": 36, "ok": True, "error": None, "transaction_id": ID.hex(), "integrity": None,
        "fingerprint": "valid",
    }  # fmt: skip
    assert message["attributes"][0] == {
        "code": 0x8022, "name": "SOFTWARE", "protected": True, "offset": 24, "hex": "78", "meaning": '"x"', "error": None,
    }  # fmt: skip


def test_password_is_taken_from_the_option_or_from_a_file(tmp_path):
    data = encode(Method.BINDING, MessageClass.REQUEST, ID, [(USERNAME, "a:b")], key=short_term_key("secret"))
    path = tmp_path / "password"
    path.write_text("secret\nnot this\n")
    for arguments in (["--password", "secret"], ["--password-file", str(path)]):
        code, output, _ = decode(*arguments, data=data)
        assert (code, "right (short-term)" in output) == (0, True)
    code, output, _ = decode("--password", "wrong", data=data)
    assert (code, "! wrong, or of another password" in output) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--password", "a", "--password-file", "-"], "exclude each other"),
        (["--password-file", "-"], "its first line is empty"),
        (["--password", ""], "password, user name or realm"),
        (["--realm", "a"], "of use with --password only"),
        (["/does/not/exist"], "No such file"),
        (["--nonsense"], "No such option"),
    ],
)
def test_wrong_usage_is_2_and_explained(arguments, complaint):
    code, output, errors = decode(*arguments)
    assert (code, output) == (2, "")
    assert complaint in errors


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "-: the input is empty"),
        (b" \n", "-: the input holds no hexadecimal digits"),
        (b"hello", "-: line 1: 'h' is no hexadecimal digit"),
    ],
)
def test_input_that_is_nothing_is_1_and_explained(data, complaint):
    code, output, errors = decode(data=data)
    assert (code, output) == (1, "")
    assert complaint in errors.replace("<stdin>", "-")


def test_password_file_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "password"
    path.write_bytes(b"\xff\xfe")
    code, _, errors = decode("--password-file", str(path), data=b"00")
    assert (code, "it is not UTF-8" in errors) == (2, True)


def test_input_without_a_message_is_1(request_bytes):
    code, output, _ = decode(data=b"80" * 12)
    assert code == 1
    assert output == "RTP or RTCP, 12 bytes\n! there is no STUN message and no ChannelData in it\n"


def test_name_from_the_network_cannot_command_the_terminal(request_bytes):
    data = encode(Method.BINDING, MessageClass.REQUEST, ID, [(SOFTWARE, "\x1b]0;owned\x07\x9b2J\r\u202eevil é 日")])
    code, output, _ = decode(data=data, PYTHONIOENCODING="iso8859-1")
    assert code == 0
    assert output.replace("\n", "").replace("�", "").isprintable()
    assert r'"\x1b]0;owned\x07\x9b2J\r\u202eevil � \u65e5"' in output


def test_messages_in_a_row_are_told_apart(request_bytes, response_bytes):
    code, output, _ = decode(data=request_bytes + response_bytes)
    assert code == 0
    assert output.count("STUN Binding") == 2
    assert "STUN Binding success response, 32 bytes" in output


def test_long_value_is_cut_in_the_rows_and_whole_in_json():
    data = encode(Method.BINDING, MessageClass.REQUEST, ID, [(USERNAME, "x" * 300)])
    assert "        and 172 bytes more\n" in decode(data=data)[1]
    assert json.loads(decode("--json", data=data)[1])["messages"][0]["attributes"][0]["hex"] == b"x".hex() * 300


def capture(wire, request_bytes, response_bytes):
    return wire.pcap(
        [
            wire.ethernet(wire.ipv4(wire.udp(request_bytes))),
            wire.ethernet(b"arp", 0x0806),
            wire.ethernet(wire.ipv4(wire.tcp(b"", 99, syn=True), 6)),
            wire.ethernet(wire.ipv4(wire.tcp(response_bytes[:20], 100), 6)),
            wire.ethernet(wire.ipv4(wire.tcp(response_bytes[20:], 120), 6)),
            wire.ethernet(wire.ipv4(wire.udp(b"\x80rtp"))),
            wire.ethernet(wire.ipv4(wire.udp(b""))),
            wire.ethernet(wire.ipv4(wire.tcp(request_bytes[:9], 132), 6)),
        ]
    )


def test_capture_is_read_packet_by_packet(wire, request_bytes, response_bytes):
    code, output, errors = decode(data=capture(wire, request_bytes, response_bytes))
    assert (code, errors) == (1, "")
    heads = [line for line in output.splitlines() if line.startswith(("packet", "end"))]
    assert heads == [
        "packet 1, 0.000000 s, udp 10.0.0.1:5000 -> 192.0.2.1:3478",
        "packet 5, 4.000004 s, tcp 10.0.0.1:5000 -> 192.0.2.1:3478",
        "packet 6, 5.000005 s, udp 10.0.0.1:5000 -> 192.0.2.1:3478",
        "end of the capture, tcp 10.0.0.1:5000 -> 192.0.2.1:3478",
    ]
    assert "  ! the stream ends in the middle of a message\n" in output
    assert output.endswith("3 messages, 1 with problems, 1 other payload, 1 packet passed over (not IP)\n")


def test_capture_as_json(wire, request_bytes, response_bytes):
    code, output, errors = decode("--json", data=capture(wire, request_bytes, response_bytes))
    assert code == 1
    result = json.loads(output)
    assert result["passed_over"] == {"not IP": 1}
    assert result["error"] is None
    assert [(one["packet"], one["time_s"], one["transport"], one["ok"]) for one in result["messages"]] == [
        (1, 0.0, "udp", True), (5, 4.000004, "tcp", True), (6, 5.000005, "udp", True), (None, None, "tcp", False),
    ]  # fmt: skip
    assert errors.startswith("3 messages, 1 with problems")


def test_truncated_capture_is_told_after_what_it_holds(wire, request_bytes):
    data = wire.pcap([wire.ethernet(wire.ipv4(wire.udp(request_bytes)))] * 2)[:-1]
    code, output, _ = decode(data=data)
    assert code == 1
    assert "! the capture ends in the middle of packet 2" in output
    assert "1 message, 0 with problems" in output
    assert json.loads(decode("--json", data=data)[1])["error"].startswith("the capture ends in the middle of packet 2")


def test_datagram_that_was_not_captured_whole_is_told(wire, request_bytes):
    packet = wire.ipv4(wire.udp(request_bytes))
    code, output, _ = decode(data=wire.pcap([packet[:-3]], 101))
    assert (code, "  ! 3 bytes were not captured\n" in output) == (1, True)


def test_input_is_bounded(tmp_path):
    path = tmp_path / "zeros"
    with path.open("wb") as file:
        file.truncate(MAX_INPUT + 1)
    code, output, errors = decode(str(path))
    assert (code, output) == (1, "")
    assert "larger than 64 MiB" in errors


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(lambda data: data.hex().encode())))
def test_any_input_is_payloads_or_refused(data):
    try:
        source = Input(data)
    except ValueError:
        return
    for payload in source.payloads():
        assert isinstance(payload.data, bytes)
