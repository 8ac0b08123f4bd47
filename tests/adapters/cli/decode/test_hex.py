import contextlib

import pytest
from hypothesis import given, strategies as st

from sansice_cli.decode._hex import read_hex

DATA = bytes(range(0x30, 0x30 + 24))
PLAIN = DATA.hex()


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.upper(),
        DATA.hex(":"),
        DATA.hex(" "),
        "0x" + PLAIN,
        ", ".join(f"0x{byte:02x}" for byte in DATA),
        "{" + ", ".join(f"0x{byte:02X}" for byte in DATA) + "};",
        'b"' + "".join(f"\\x{byte:02x}" for byte in DATA) + '"',
        f"{PLAIN[:10]}\n  {PLAIN[10:]}\r\n",
        "00000000: 3031 3233 3435 3637 3839 3a3b 3c3d 3e3f  0123456789:;<=>?\n"
        "00000010: 4041 4243 4445 4647                      @ABCDEFG\n",
        "00000000  30 31 32 33 34 35 36 37  38 39 3a 3b 3c 3d 3e 3f  |0123456789:;<=>?|\n"
        "00000010  40 41 42 43 44 45 46 47                           |@ABCDEFG|\n00000018\n",
        "0000   30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f   0123456789:;<=>?\n0010   40 41 42 43 44 45 46 47   @ABCDEFG\n",
        "\t0x0000:  3031 3233 3435 3637 3839 3a3b 3c3d 3e3f  0123456789:;<=>?\n"
        "\t0x0010:  4041 4243 4445 4647                      @ABCDEFG",
        "000000 30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f\n000010 40 41 42 43 44 45 46 47\n000018\n",
    ],
    ids=[
        "plain",
        "upper",
        "colons",
        "spaces",
        "0x",
        "array",
        "C",
        "bytes",
        "lines",
        "xxd",
        "hexdump",
        "wireshark",
        "tcpdump",
        "od",
    ],
)
def test_every_usual_form_is_read(text):
    assert read_hex(text) == DATA


def test_characters_beside_a_dump_are_not_taken_for_digits():
    assert read_hex("00000000: 6162 6364 6566 6162                      abcdefab") == b"abcdefab"
    assert read_hex("00000000  61 62 63 64 65 66 61 62                           |abcdefab|") == b"abcdefab"


def test_plain_digits_that_look_like_an_offset_are_digits():
    assert read_hex("0001 0000 2112 a442") == bytes.fromhex("000100002112a442")
    assert read_hex("0000  0001") == bytes.fromhex("0001")
    assert read_hex("0001  0002") == bytes.fromhex("00010002")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("01\nzz", "line 2: 'z' is no hexadecimal digit"), ("012", "3 hexadecimal digits"), ("01 \x1b[2J", r"line 1: '\x1b' is no")],
)
def test_what_is_not_hexadecimal_is_told_where(text, complaint):
    with pytest.raises(ValueError, match=complaint.replace("\\", "\\\\").replace("[", r"\[")):
        read_hex(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(ValueError):
        read_hex(text)
