"""What two agents tell each other, as SDP lines and as JSON (RFC 8839 5, RFC 8840)."""

import json
import math

import pytest
from hypothesis import given, strategies as st

from ice.test_candidate import CANDIDATES, LINE
from sansice.ice import Candidate, Credentials, Description

UFRAG, PWD = "abcd", "p" * 22
HEAD = f"a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PWD}\r\n"

ICE_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
OPTIONS = st.lists(st.from_regex(r"\A[A-Za-z0-9+/_-]{1,8}\Z"), max_size=3)
FIELDS = {
    "ufrag": st.text(ICE_CHARS, min_size=4, max_size=256),
    "pwd": st.text(ICE_CHARS, min_size=22, max_size=256),
    "candidates": st.lists(CANDIDATES, max_size=3),
    "lite": st.booleans(),
    "pacing": st.none() | st.integers(0, 10**10 - 1),
}
DESCRIPTIONS = st.builds(Description, options=OPTIONS, end_of_candidates=st.booleans(), **FIELDS)
# Without "trickle" SDP cannot say that candidates follow: to those who do not trickle they never do.
SDP_DESCRIPTIONS = DESCRIPTIONS.filter(lambda one: one.end_of_candidates or "trickle" in one.options) | st.builds(
    Description, options=st.just(("ice2", "trickle")), end_of_candidates=st.just(False), **FIELDS
)


def described(**fields):
    return Description(UFRAG, PWD, **fields)


def from_sdp(*lines):
    return Description.from_sdp(HEAD + "".join(f"{line}\r\n" for line in lines))


# Round trips


@given(SDP_DESCRIPTIONS)
def test_any_description_survives_sdp(description):
    assert Description.from_sdp(description.to_sdp()) == description


@given(DESCRIPTIONS)
def test_any_description_survives_json(description):
    assert Description.from_json(description.to_json()) == description


@pytest.mark.req("RFC8839-002", "RFC8839-040", "RFC8839-041")
def test_sdp_lines_are_one_attribute_each():
    candidates = [Candidate.from_sdp(LINE), Candidate.from_sdp("2 1 udp 1 192.0.2.2 9 typ host generation 0")]
    description = described(candidates=candidates, lite=True, options=("ice2", "rtp+ecn"), pacing=20)
    assert description.to_sdp() == (
        f"{HEAD}a=ice-lite\r\na=ice-options:ice2 rtp+ecn\r\na=ice-pacing:20\r\n"
        f"a={LINE}\r\na=candidate:2 1 udp 1 192.0.2.2 9 typ host generation 0\r\na=end-of-candidates\r\n"
    )


def test_description_to_be_continued_says_so_in_sdp_by_itself():
    unfinished = described(options=("ice2",), end_of_candidates=False)
    assert "a=ice-options:ice2 trickle\r\n" in unfinished.to_sdp()
    assert Description.from_sdp(unfinished.to_sdp()).end_of_candidates is False


@pytest.mark.req("RFC8840-014")
def test_end_of_candidates_is_a_line_without_a_value_of_those_who_trickle():
    more = described(options=("trickle",), end_of_candidates=False)
    assert "end-of-candidates" not in more.to_sdp()
    assert Description.from_sdp(more.to_sdp()).end_of_candidates is False
    assert Description.from_sdp(more.to_sdp() + "a=end-of-candidates\r\n").end_of_candidates is True
    assert described(options=("trickle",)).to_sdp().endswith("\r\na=end-of-candidates\r\n")


@pytest.mark.req("RFC8838-004")
def test_without_trickle_the_candidates_are_complete():
    assert from_sdp().end_of_candidates is True
    assert from_sdp("a=ice-options:ice2").end_of_candidates is True
    assert from_sdp("a=ice-options:ice2 trickle").end_of_candidates is False


@pytest.mark.req("RFC8838-003")
def test_description_without_candidates_is_one():
    assert from_sdp().candidates == ()
    assert Description.from_json(json.dumps({"ufrag": UFRAG, "pwd": PWD})) == described()


def test_json_is_the_object_that_others_read():
    description = described(candidates=[Candidate.from_sdp(LINE)], options=("ice2",), pacing=50, end_of_candidates=False)
    assert json.loads(description.to_json()) == {
        "ufrag": UFRAG,
        "pwd": PWD,
        "lite": False,
        "options": ["ice2"],
        "pacing": 50,
        "candidates": [LINE],
        "end_of_candidates": False,
    }


def test_candidates_and_options_may_be_any_iterable():
    one = Candidate.from_sdp(LINE)
    description = described(candidates=(candidate for candidate in [one]), options=iter(["ice2"]))
    assert (description.candidates, description.options) == ((one,), ("ice2",))


# Reading SDP


def test_lines_may_end_in_lf_and_those_of_others_are_skipped():
    text = f"v=0\nm=audio 9 RTP/AVP 0\na=mid:0\n{HEAD}\na={LINE}\na=foo:bar\na=sendrecv\n"
    assert Description.from_sdp(text).candidates == (Candidate.from_sdp(LINE),)


@pytest.mark.req("RFC8840-017")
def test_unknown_attributes_change_nothing():
    assert from_sdp("a=foo:bar", "a=candidate-like:x", "a=") == from_sdp()


@pytest.mark.req("RFC8840-016")
def test_attribute_names_are_read_in_any_case_and_written_in_lower_case():
    text = f"a=ICE-UFRAG:{UFRAG}\r\na=Ice-Pwd:{PWD}\r\na=Candidate:{LINE.removeprefix('candidate:')}\r\na=ICE-OPTIONS:ice2\r\n"
    read = Description.from_sdp(text)
    assert read == described(candidates=[Candidate.from_sdp(LINE)], options=("ice2",))
    names = [line.removeprefix("a=").partition(":")[0] for line in read.to_sdp().splitlines()]
    assert names == [name.lower() for name in names]


@pytest.mark.req("RFC8839-029", "RFC8839-030")
@pytest.mark.parametrize("unknown", ["1 1 sctp 1 192.0.2.9 9 typ host", "1 1 udp 1 192.0.2.9 9 typ foo"])
def test_candidate_of_an_unknown_kind_is_skipped_and_the_others_are_kept(unknown):
    assert from_sdp(f"a=candidate:{unknown}", f"a={LINE}").candidates == (Candidate.from_sdp(LINE),)
    text = json.dumps({"ufrag": UFRAG, "pwd": PWD, "candidates": [unknown, LINE]})
    assert Description.from_json(text).candidates == (Candidate.from_sdp(LINE),)


@pytest.mark.req("RFC8839-041")
def test_options_are_a_list_of_words():
    assert from_sdp("a=ice-options:ice2 rtp+ecn").options == ("ice2", "rtp+ecn")
    assert from_sdp().options == ()


@pytest.mark.req("RFC8839-040")
def test_pacing_is_a_number_of_milliseconds_or_left_open():
    assert from_sdp("a=ice-pacing:20").pacing == 20
    assert from_sdp("a=ice-pacing:9999999999").pacing == 9999999999
    assert from_sdp().pacing is None


@pytest.mark.req("RFC8839-005", "RFC8839-037", "RFC8839-040")
@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "ice-ufrag"),
        (f"a=ice-ufrag:{UFRAG}", "ice-pwd"),
        (f"a=ice-pwd:{PWD}", "ice-ufrag"),
        (f"a=ice-ufrag:abc\na=ice-pwd:{PWD}", "ice-ufrag"),
        (f"a=ice-ufrag:{'a' * 257}\na=ice-pwd:{PWD}", "ice-ufrag"),
        (f"a=ice-ufrag:ab-d\na=ice-pwd:{PWD}", "ice-ufrag"),
        (f"a=ice-ufrag\na=ice-pwd:{PWD}", "ice-ufrag"),
        (f"a=ice-ufrag:{UFRAG}\na=ice-pwd:{'p' * 21}", "ice-pwd"),
        (f"a=ice-ufrag:{UFRAG}\na=ice-pwd:{'p' * 257}", "ice-pwd"),
        (f"a=ice-ufrag:{UFRAG}\na=ice-pwd:{'ä' * 22}", "ice-pwd"),
        (f"{HEAD}a=ice-pacing:fast", "ice-pacing"),
        (f"{HEAD}a=ice-pacing:", "ice-pacing"),
        (f"{HEAD}a=ice-pacing:-1", "ice-pacing"),
        (f"{HEAD}a=ice-pacing:10000000000", "ice-pacing"),
        (f"{HEAD}a=ice-pacing:\u00b2", "ice-pacing"),
        (f"{HEAD}a=ice-options:ice2 bad=option", "ice-options"),
        (f"{HEAD}a=candidate:nonsense", "candidate component"),
        (f"{HEAD}a={LINE.replace('5000', '70000')}", "candidate port"),
    ],
)
def test_malformed_sdp_is_a_value_error_that_names_the_field(text, field):
    with pytest.raises(ValueError, match=field):
        Description.from_sdp(text)


@given(st.text())
def test_any_text_is_a_description_or_a_value_error(text):
    for read in (Description.from_sdp, Description.from_json):
        for prefix in ("", HEAD):
            try:
                read(prefix + text)
            except ValueError:
                pass


# Reading JSON


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"ufrag": 5}, "ufrag"),
        ({"ufrag": "abc"}, "ice-ufrag"),
        ({"pwd": None}, "pwd"),
        ({"pwd": "p" * 21}, "ice-pwd"),
        ({"lite": 1}, "lite"),
        ({"lite": "no"}, "lite"),
        ({"options": "ice2"}, "options"),
        ({"options": [1]}, "options"),
        ({"options": ["a b"]}, "ice-options"),
        ({"pacing": "50"}, "pacing"),
        ({"pacing": 5.0}, "pacing"),
        ({"pacing": True}, "pacing"),
        ({"pacing": -1}, "ice-pacing"),
        ({"pacing": 10**10}, "ice-pacing"),
        ({"candidates": {}}, "candidates"),
        ({"candidates": [None]}, "candidates"),
        ({"candidates": ["nonsense"]}, "candidate component"),
        ({"candidates": [LINE.replace("5000", "70000")]}, "candidate port"),
        ({"end_of_candidates": 0}, "end_of_candidates"),
    ],
)
def test_json_field_of_the_wrong_kind_is_a_value_error_that_names_it(changed, field):
    with pytest.raises(ValueError, match=field):
        Description.from_json(json.dumps({"ufrag": UFRAG, "pwd": PWD, **changed}))


@pytest.mark.parametrize("missing", ["ufrag", "pwd"])
def test_json_without_credentials_is_a_value_error_that_names_what_is_missing(missing):
    fields = {"ufrag": UFRAG, "pwd": PWD}
    del fields[missing]
    with pytest.raises(ValueError, match=f"{missing}: missing"):
        Description.from_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "not JSON"), ("{", "not JSON"), ("[" * 100_000, "not JSON"), ("[]", "not a JSON object"), ("7", "not a JSON object")],
)
def test_what_is_no_json_object_is_a_value_error(text, why):
    with pytest.raises(ValueError, match=why):
        Description.from_json(text)


def test_unknown_keys_are_skipped():
    assert Description.from_json(json.dumps({"ufrag": UFRAG, "pwd": PWD, "from": "the future"})) == described()


# Credentials


@pytest.mark.req("RFC8839-037", "RFC8839-038")
@pytest.mark.parametrize(("ufrag", "pwd"), [(4, 22), (256, 256)])
def test_credentials_are_accepted_to_the_limits_of_the_grammar(ufrag, pwd):
    credentials = Credentials("u" * ufrag, "p" * pwd)
    read = Description.from_sdp(Description(credentials.ufrag, credentials.pwd).to_sdp())
    assert (read.ufrag, read.pwd) == (credentials.ufrag, credentials.pwd)


@pytest.mark.req("RFC8839-037")
@pytest.mark.parametrize(
    ("ufrag", "pwd", "field"),
    [
        ("abc", PWD, "ice-ufrag"),
        ("u" * 257, PWD, "ice-ufrag"),
        ("ab:d", PWD, "ice-ufrag"),
        (UFRAG, "p" * 21, "ice-pwd"),
        (UFRAG, "p" * 257, "ice-pwd"),
    ],
)
def test_credentials_outside_the_grammar_are_refused(ufrag, pwd, field):
    with pytest.raises(ValueError, match=field):
        Credentials(ufrag, pwd)


@pytest.mark.req("RFC8445-029", "RFC8839-038")
def test_generated_credentials_hold_enough_random_bits_of_the_given_source():
    drawn = []

    def entropy(count):
        drawn.append(count)
        return bytes(range(count))

    first = Credentials.generate(entropy)
    assert first == Credentials.generate(entropy)
    assert len(first.ufrag) <= 32
    # 6 bits of each byte drawn become a character, and none is used twice.
    assert drawn[0] == len(first.ufrag) + len(first.pwd)
    assert len(set(first.ufrag + first.pwd)) == drawn[0]
    assert math.log2(len(ICE_CHARS)) * len(first.ufrag) >= 24
    assert math.log2(len(ICE_CHARS)) * len(first.pwd) >= 128


@given(st.binary(min_size=32, max_size=32))
def test_any_random_bytes_make_credentials_of_the_grammar(drawn):
    credentials = Credentials.generate(lambda count: drawn[:count])
    assert set(credentials.ufrag + credentials.pwd) <= set(ICE_CHARS)


def test_password_stays_out_of_every_repr():
    assert PWD not in repr(Credentials(UFRAG, PWD))
    assert PWD not in repr(described())
    with pytest.raises(ValueError, match="ice-pwd") as caught:
        Credentials(UFRAG, "secret word")
    assert "secret" not in str(caught.value)


@pytest.mark.req("RFC8839-037")
def test_credentials_of_the_media_section_override_those_of_the_session():
    read = Description.from_sdp(f"v=0\r\na=ice-ufrag:session\r\na=ice-pwd:{'s' * 22}\r\nm=audio 9 RTP/AVP 0\r\n{HEAD}")
    assert (read.ufrag, read.pwd) == (UFRAG, PWD)
