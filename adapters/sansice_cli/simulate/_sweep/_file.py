"""The file that says what a sweep is."""

from __future__ import annotations

import tomllib
from pathlib import Path

import click

from sansice.simulation import Scene, Sweep, read_sweep
from sansice_cli.simulate._scenes import find_scene


def read_file(path: Path) -> Sweep:
    """The sweep that a TOML file describes; it names scenes of the library, or JSON files, relative to its own folder.

    Raises:
        click.UsageError: it cannot be read or is no sweep; the text names the key.
    """

    def find(word: str) -> Scene:
        beside = path.parent / word
        try:
            return find_scene(str(beside) if beside.suffix == ".json" else word)
        except click.UsageError as error:
            raise ValueError(error.message) from None

    try:
        return read_sweep(tomllib.loads(path.read_text("utf-8")), find_scene=find)
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path}: not UTF-8 at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise click.UsageError(f"{path}: not TOML: {error}") from None
    except ValueError as error:
        raise click.UsageError(f"{path}: {error}") from None
