"""What an agent tells of all of its streams, as a value and as JSON (RFC 8839 5)."""

import json

import pytest
from hypothesis import assume, given, strategies as st

from ice.test_description import DESCRIPTIONS, PWD, UFRAG, described
from sansice.ice import Description, SessionDescription

OTHER = Description("other", "o" * 22)


@st.composite
def sessions(draw):
    """Any streams, made to agree on what is the session's."""
    first, *others = draw(st.lists(DESCRIPTIONS, min_size=1, max_size=4))
    assume(len({one.ufrag for one in (first, *others)}) == 1 + len(others))
    agreed = [
        Description(
            one.ufrag,
            one.pwd,
            candidates=one.candidates,
            lite=first.lite,
            pacing=first.pacing,
            options=first.options,
            end_of_candidates=one.end_of_candidates,
        )
        for one in others
    ]
    return SessionDescription([first, *agreed])


@given(sessions())
def test_any_session_survives_json(session):
    assert SessionDescription.from_json(session.to_json()) == session


def test_session_is_a_row_of_streams():
    session = SessionDescription(stream for stream in [described(), OTHER])
    assert session.streams == (described(), OTHER)
    assert (len(session), session[0], session[1], list(session)) == (2, described(), OTHER, [described(), OTHER])
    assert session.mids == ("0", "1")
    assert SessionDescription([OTHER], mids=("audio",)).mids == ("audio",)


def test_session_says_once_what_all_of_its_streams_say():
    one, other = described(options=("a", "ice2", "b"), pacing=20), Description("other", "o" * 22, options=("b", "a"), pacing=20)
    assert SessionDescription([one, other]).options == ("a", "b")
    assert SessionDescription([one, other]).pacing == 20
    assert SessionDescription([described(lite=True)]).lite is True
    assert SessionDescription([described(), OTHER]).lite is False


def test_session_is_complete_when_all_of_its_streams_are():
    more = described(options=("trickle",), end_of_candidates=False)
    done = Description("other", "o" * 22, options=("trickle",))
    assert SessionDescription([more, done]).end_of_candidates is False
    assert SessionDescription([done]).end_of_candidates is True


@pytest.mark.req("RFC8839-039")
def test_one_ufrag_has_one_password():
    with pytest.raises(ValueError, match="two streams have the ice-ufrag 'abcd'") as caught:
        SessionDescription([described(), Description(UFRAG, "q" * 22)])
    assert "q" * 22 not in str(caught.value)
    assert len(SessionDescription([described(), described()])) == 2


@pytest.mark.req("RFC8838-002")
def test_trickle_is_an_option_of_all_streams_or_of_none():
    trickled = described(options=("ice2", "trickle"))
    with pytest.raises(ValueError, match="trickle: all streams"):
        SessionDescription([trickled, OTHER])
    assert SessionDescription([trickled, trickled]).options == ("ice2", "trickle")


@pytest.mark.parametrize(
    ("fields", "why"), [({"lite": True}, "ice-lite: all streams"), ({"pacing": 20}, "ice-pacing: all streams")]
)
def test_streams_cannot_differ_in_what_is_of_the_session(fields, why):
    with pytest.raises(ValueError, match=why):
        SessionDescription([described(**fields), OTHER])


@pytest.mark.parametrize(
    ("streams", "mids", "why"),
    [
        ([], (), "streams: at least one"),
        (["text"], ("0",), "is not a Description"),
        ([OTHER], (), "0 names for 1 streams"),
        ([OTHER], "0", "mids: several names"),
        ([OTHER], ("a b",), "mid: 'a b' is not a token"),
        ([OTHER], ("x" * 65,), "mid"),
        ([OTHER], ("²",), "mid"),
        ([OTHER, OTHER], ("a", "a"), "comes twice"),
    ],
)
def test_session_that_cannot_be_is_refused(streams, mids, why):
    with pytest.raises(ValueError, match=why):
        SessionDescription(streams, mids=mids)


def test_json_of_one_description_is_a_session_of_one_stream():
    assert SessionDescription.from_json(OTHER.to_json()) == SessionDescription([OTHER])


def test_json_of_a_session_is_the_object_that_others_read():
    read = json.loads(SessionDescription([described()], mids=["audio"]).to_json())
    assert read == {"streams": [json.loads(described().to_json())], "mids": ["audio"]}


def test_names_of_media_sections_may_be_left_out_of_json():
    text = json.dumps({"streams": [{"ufrag": UFRAG, "pwd": PWD}]})
    assert SessionDescription.from_json(text) == SessionDescription([described()])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"streams": {}}, "streams: of the wrong kind"),
        ({"streams": [[]]}, "streams: not a JSON object"),
        ({"streams": [{"pwd": PWD}]}, "ufrag: missing"),
        ({"streams": []}, "streams: at least one"),
        ({"mids": "0"}, "mids: of the wrong kind"),
        ({"mids": [0]}, "mids: not a list of texts"),
    ],
)
def test_json_field_of_the_wrong_kind_is_a_value_error_that_names_it(changed, why):
    values = {"streams": [{"ufrag": UFRAG, "pwd": PWD}], **changed}
    with pytest.raises(ValueError, match=why):
        SessionDescription.from_json(json.dumps(values))


def test_passwords_stay_out_of_the_repr():
    assert PWD not in repr(SessionDescription([described()]))
