"""Scenes by name, by file, and neither."""

import click
import pytest

from sansice.simulation import scene, scenes
from sansice_cli.simulate._scenes import find_scene, listing


def test_scene_of_the_library_by_its_name():
    assert find_scene("two-homes") is scenes()["two-homes"]


def test_scene_of_a_file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(scene("hotel").to_json())
    assert find_scene(str(path)) == scene("hotel")
    other = tmp_path / "without-suffix"
    other.write_text(scene("hotel").to_json())
    assert find_scene(str(other)) == scene("hotel")


def test_misspelt_name_is_usage_with_what_may_be_meant():
    with pytest.raises(click.UsageError, match=r"there is no scene 'two-home', and no such file; did you mean two-homes"):
        find_scene("two-home")
    with pytest.raises(click.UsageError, match="sansice simulate --list tells"):
        find_scene("xyzzy")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", r"not JSON: .*line 1 column 2"),
        (b"[]", "not a JSON object"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b'{"scene_version": 99}', "scene_version: 99"),
    ],
)
def test_file_that_holds_no_scene_is_named_with_the_place(content, said, tmp_path):
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(click.UsageError, match=said) as error:
        find_scene(str(path))
    assert error.value.message.startswith(f"{path}: ")


def test_scene_with_a_negative_latency_names_the_field(tmp_path):
    path = tmp_path / "mine.json"
    text = scene("lossy-wifi").to_json()
    assert '"latency": ' in text
    path.write_text(text.replace('"latency": ', '"latency": -', 1))
    with pytest.raises(click.UsageError, match=r"latency"):
        find_scene(str(path))


def test_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(click.UsageError, match=r"nowhere\.json: No such file"):
        find_scene(str(tmp_path / "nowhere.json"))
    with pytest.raises(click.UsageError, match="Is a directory"):
        find_scene(str(tmp_path))


def test_listing_has_all_scenes_with_their_first_sentence():
    found = dict(listing())
    assert list(found) == list(scenes())
    assert found["two-homes"] == "Two people at home, each behind the box of a provider."
    assert not any(". " in about for about in found.values())
