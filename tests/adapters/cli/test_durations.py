import pytest

from sansice_cli._durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60.0),
        ("2m", 120.0),
        ("1m30s", 90.0),
        ("1h", 3600.0),
        ("500ms", 0.5),
        ("0.5m", 30.0),
        ("1d12h", 129600.0),
        ("7", 7.0),
        ("1.5", 1.5),
    ],
)
def test_durations_as_people_write_them(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "60 s", "-1s", "60x", "1m 30s", "s60", "nan", "inf", "1e3s", "٣s", "60s!"])
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="no duration like 60s, 2m or 1m30s"):
        parse_duration(text)


def test_no_time_and_all_time_are_refused():
    with pytest.raises(ValueError, match="'0s' is no time at all"):
        parse_duration("0s")
    with pytest.raises(ValueError, match="is for ever"):
        parse_duration("9" * 400)
