"""The file that says what a sweep is."""

import json

import click
import pytest

from sansice.simulation import scene
from sansice_cli.simulate._sweep._file import read_file

TEXT = 'name = "x"\nseeds = 3\nscenes = ["two-homes", "mine.json"]\n'


def test_scenes_are_of_the_library_or_of_files_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    (tmp_path / "mine.json").write_text(scene("hotel").to_json())
    path = tmp_path / "sweep.toml"
    path.write_text(TEXT)
    assert [one.name for one in read_file(path).scenes] == ["two-homes", "hotel"]


def test_file_of_a_scene_that_is_none_is_named(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(TEXT)
    with pytest.raises(click.UsageError, match=r"sweep\.toml: scenes: .*mine\.json: No such file"):
        read_file(path)
    (tmp_path / "mine.json").write_text(json.dumps({"scene_version": 1, "nmae": "x"}))
    with pytest.raises(click.UsageError, match=r"sweep\.toml: scenes: .*mine\.json: nmae: unknown"):
        read_file(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name = x", r"not TOML: .*line 1"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b'name = "x"\nseeds = 3\nscenes = "two-home"', "scenes: there is no scene 'two-home', and no such file; did you mean"),
        (b'name = "x"\nseeds = 3\nscene = "two-homes"', "scene: unknown; there are name, seeds, scenes"),
    ],
)
def test_file_that_is_no_sweep_is_named_with_the_place(content, said, tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_bytes(content)
    with pytest.raises(click.UsageError, match=said) as error:
        read_file(path)
    assert error.value.message.startswith(f"{path}: ")


def test_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(click.UsageError, match="Is a directory"):
        read_file(tmp_path)
