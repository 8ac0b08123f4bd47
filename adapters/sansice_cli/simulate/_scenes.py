"""Scenes by name or from a file."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from sansice.simulation import Scene, scenes


def find_scene(word: str) -> Scene:
    """The scene of the library that has this name, or the one in this JSON file.

    Raises:
        click.UsageError: there is neither, or the file cannot be read, or holds no scene; the text says where.
    """
    library = scenes()
    if word in library:
        return library[word]
    path = Path(word)
    if path.suffix == ".json" or path.exists():
        return _read(path)
    close = difflib.get_close_matches(word, library, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "sansice simulate --list tells those that there are."
    raise click.UsageError(f"there is no scene {word!r}, and no such file; {hint}")


def _read(path: Path) -> Scene:
    try:
        return Scene.from_json(path.read_text("utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path}: not UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise click.UsageError(f"{path}: {error}") from None


def listing() -> list[tuple[str, str]]:
    """Name and first sentence of each scene."""
    return [(name, _first_sentence(scene.about)) for name, scene in scenes().items()]


def _first_sentence(text: str) -> str:
    head, dot, _ = text.partition(". ")
    return head + (dot.rstrip() if dot else "")
