"""What the distribution holds: hatchling passes over a misspelt package in silence."""

from __future__ import annotations

import configparser
import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["sansice", *sorted(path.parent.name for path in (ROOT / "adapters").glob("*/__init__.py"))]


def build(kind: str, source: Path, folder: Path) -> Path:
    """The wheel or the sdist of the tree at `source`; the backend is called directly, which needs no network."""
    command = [sys.executable, "-P", "-m", "hatchling", "build", "-t", kind, "-d", folder]
    run = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (path,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    with zipfile.ZipFile(build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))) as file:
        yield file


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The folder that the sdist unpacks to."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ROOT, folder)) as file:
        file.extraction_filter = getattr(tarfile, "data_filter", None)  # a filter= is refused before Python 3.11.4
        file.extractall(folder)
    (path,) = (path for path in folder.iterdir() if path.is_dir())
    return path


def on_disk() -> set[str]:
    """The files of all packages as a wheel names them."""
    folders = [ROOT / "sansice", *(ROOT / "adapters" / name for name in PACKAGES[1:])]
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(ROOT).as_posix().removeprefix("adapters/") for path in files}


def content(wheel: zipfile.ZipFile) -> set[str]:
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


def dist_info(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_wheel_holds_every_file_of_every_package_and_nothing_else(wheel):
    assert content(wheel) == on_disk()
    assert {name.partition("/")[0] for name in content(wheel)} == set(PACKAGES)


def test_every_package_says_that_it_is_typed(wheel):
    assert {f"{package}/py.typed" for package in PACKAGES} <= content(wheel)


def test_wheel_is_the_same_when_it_is_built_from_the_sdist(wheel, unpacked, tmp_path):
    with zipfile.ZipFile(build("wheel", unpacked, tmp_path)) as again:
        assert again.namelist() == wheel.namelist()


def test_sdist_holds_what_is_needed_to_run_the_tests(unpacked):
    assert {path.name for path in unpacked.iterdir()} == {
        ".ci", ".gitignore", "LICENSE", "PKG-INFO", "README.md", "adapters", "docs", "pyproject.toml", "sansice", "tests"
    }  # fmt: skip
    assert (unpacked / "tests" / "__main__.py").is_file()
    assert (unpacked / "tests" / "requirements" / "rfc8445.tsv").is_file()


def test_command_and_plugin_are_installed(wheel):
    points = configparser.ConfigParser()
    points.read_string(dist_info(wheel, "entry_points.txt"))
    assert {name: dict(points[name]) for name in points.sections()} == {
        "console_scripts": {"sansice": "sansice_cli:main"},
        "pytest11": {"sansice": "sansice_pytest._plugin"},
    }


def test_core_depends_on_attrs_alone_and_the_rest_are_extras(wheel):
    metadata = email.message_from_string(dist_info(wheel, "METADATA"))
    needs = metadata.get_all("Requires-Dist")
    assert [need for need in needs if "extra ==" not in need] == ["attrs>=23.2"]
    assert set(metadata.get_all("Provides-Extra")) == {
        "trio", "asyncio", "blocking", "tls", "precis", "cli", "sweep", "test", "lint"
    }  # fmt: skip
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert dist_info(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text()


def test_version_is_the_one_that_the_package_tells(wheel):
    metadata = email.message_from_string(dist_info(wheel, "METADATA"))
    assert f'__version__ = "{metadata["Version"]}"' in (ROOT / "sansice" / "__init__.py").read_text()


def test_changelog_fragments_are_of_known_kinds_and_render(tmp_path):
    command = [sys.executable, "-P", "-m", "towncrier", "build", "--draft", "--version", "9.9.9", "--dir", ROOT]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "9.9.9" in run.stdout


def test_every_changelog_fragment_is_named_by_issue_and_kind():
    kinds = [kind["directory"] for kind in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]["type"]]
    names = [path.name for path in (ROOT / "docs" / "changelog.d").iterdir() if not path.name.startswith(".")]
    assert [name for name in names if not re.fullmatch(rf"(\d+|\+[\w-]+)\.({'|'.join(kinds)})(\.\d+)?\.md", name)] == []
