"""Session descriptions as programs of the field write them, composed from the grammar; and small ones for tests."""

from pathlib import Path

FOLDER = Path(__file__).parent / "sdp"
FIXTURES = sorted(path.stem for path in FOLDER.glob("*.sdp"))

UFRAG, PWD = "abcd", "p" * 22
HOST = "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"
CREDENTIALS = (f"a=ice-ufrag:{UFRAG}", f"a=ice-pwd:{PWD}")
HEAD = ("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "t=0 0")


def fixture(name):
    return (FOLDER / f"{name}.sdp").read_text().replace("\n", "\r\n")


def text(*lines):
    return "".join(f"{line}\r\n" for line in lines)


def offer(*media, session=()):
    """A text of a session and the lines of its media."""
    return text(*HEAD, *session, *media)


def audio(*lines, port=5000, host="192.0.2.1", proto="UDP/TLS/RTP/SAVPF"):
    """The lines of a section that multiplexes RTCP."""
    return (f"m=audio {port} {proto} 0", f"c=IN {'IP6' if ':' in host else 'IP4'} {host}", "a=rtcp-mux", *lines)
