"""Every example in the README and in docs/ runs, every command shown there exists, and every link leads somewhere.

A ```python block is a program of its own, run in an empty folder; it passes when it ends with exit code 0 and nothing on
stderr. A block that defines functions and does not call them would pass whatever they do, so that is an error. A comment on
the line before the block may say otherwise, both of the first two with a semicolon between:

    <!-- test: continue -->                  the block goes on where the block before it ended
    <!-- test: used by tests/docs/x.py -->   instead of the block this program runs, with the path of the block's as its argument
    <!-- test: compile, REASON -->           the block is only compiled, because REASON

and on the line before a ```text block that follows one of these:

    <!-- test: printed -->                   the block before it, with those that it continues, prints exactly this

A shell block (```sh) is read line by line: the programs, scripts, extras, subcommands and options it names must exist. Where a
comment says "used by", that program runs the block, or one in another language. It gets the path of the block and, where a
```text block follows, the path of that, which is what the block prints.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from inspect import ismodule
from pathlib import Path

import pytest

import sansice.simulation
from sansice import Action, Machine

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r"(?P<indent> *)```(?P<language>\w*)[^\n`]*")
COMMENT = re.compile(r" *<!-- test: (?P<how>.+?) -->")
USED_BY = re.compile(r"used by (tests/docs/\w+\.py)")
PRINTED = "printed"
SHELL = ("sh", "bash", "shell", "console")
LINK = re.compile(r"\]\((?!\w+:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
ANY_MACHINE_HAS = frozenset({"cd", "export", "git"})

SECONDS = 60


@dataclass(frozen=True)
class Block:
    """A fenced block: where its text starts (from 1), its language, the comment before it, and the text."""

    document: str
    line: int
    language: str
    how: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def read_blocks(document: str, text: str) -> list[Block]:
    """All fenced blocks of a document.

    Raises:
        ValueError: a fence or a comment that belongs to nothing.
    """
    blocks: list[Block] = []
    how, start, opened, indent = "", 0, None, ""
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if opened is not None:
            if line.strip() == "```":
                content = "".join(line.removeprefix(indent) + "\n" for line in lines[start - 1 : number - 1])
                blocks.append(Block(document, start, opened, how, content))
                how, opened = "", None
        elif match := FENCE.fullmatch(line):
            opened, start, indent = match["language"], number + 1, match["indent"]
        elif match := COMMENT.fullmatch(line):
            how = match["how"]
        elif how and line.strip():
            raise ValueError(f"{document}:{number}: a comment for a test stands right before its block")
    if opened is not None or how:
        raise ValueError(f"{document}: a block or a comment for one is left open")
    return blocks


def program(block: Block, blocks: list[Block]) -> str | None:
    """The source to run for a block, its lines where they are in the document; None to compile only."""
    if re.fullmatch(r"compile, \S.+", block.how):
        return None
    source = ""
    for part in chain_of(block, blocks):
        source += "\n" * (part.line - 1 - source.count("\n")) + part.text
    return source


def chain_of(block: Block, blocks: list[Block]) -> list[Block]:
    """A block of Python and those that it continues, in order."""
    chain = [block]
    for before in reversed(blocks[: blocks.index(block)]):
        if not continues(chain[0]):
            break
        if before.language == "python":
            chain.insert(0, before)
    if continues(chain[0]):
        raise ValueError(f"{chain[0]}: 'continue' goes on from nothing")
    return chain


def printed(block: Block, blocks: list[Block]) -> str | None:
    """What the document says that a block prints, with those that it continues; None where it says nothing."""
    following = [blocks[blocks.index(part) + 1 :][:1] for part in chain_of(block, blocks)]
    shown = [one.text for [one] in filter(None, following) if one.how == PRINTED]
    return "".join(shown) if shown else None


def instructions(block: Block) -> list[str]:
    """What the comment of a block that is run says.

    Raises:
        ValueError: something that nobody here can do.
    """
    said = [part.strip() for part in block.how.split(";")] if block.how else []
    for one in said:
        if one != "continue" and not USED_BY.fullmatch(one):
            raise ValueError(f"{block}: {one!r} says nothing that can be done")
    return said


def continues(block: Block) -> bool:
    return "continue" in instructions(block)


def user(block: Block) -> Path | None:
    """The program that runs instead of a block."""
    found = [match[1] for one in instructions(block) if (match := USED_BY.fullmatch(one))]
    return ROOT / found[0] if found else None


def is_continued(block: Block, blocks: list[Block]) -> bool:
    following = [other for other in blocks[blocks.index(block) + 1 :] if other.language == "python"]
    return bool(following) and following[0].how.startswith("continue")


def unused(source: str, by: str = "") -> list[str]:
    """The functions and classes of a program that running it leaves alone, even with what the program `by` takes by name."""
    definitions: dict[str, ast.stmt] = {}
    reached = {node.value for node in ast.walk(ast.parse(by)) if isinstance(node, ast.Constant)}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            definitions[statement.name] = statement
        else:
            reached |= names(statement)
    pending = reached & definitions.keys()
    while pending:
        found = names(definitions[pending.pop()]) - reached
        reached |= found
        pending |= found & definitions.keys()
    return [name for name in definitions if name not in reached]


def needless_imports(source: str) -> list[str]:
    """What a program imports and never uses."""
    tree = ast.parse(source)
    aliases = [one for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for one in node.names]
    imported = [alias.asname or alias.name.partition(".")[0] for alias in aliases]
    return [name for name in imported if name not in names(tree)]


def names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}


def complaints(command: str) -> list[str]:
    """What a line of a shell block names that does not exist."""
    found = []
    for part in re.split(r"&&|\|\||[|;]", command.split(" #")[0].removeprefix("$ ")):
        words = [word for word in shlex.split(part) if word != "\\"]
        while words and re.fullmatch(r"\w+=.*", words[0]):
            words.pop(0)
        if words:
            found += simple_complaints(Path(words[0]).name, words[1:])
    return found


def simple_complaints(name: str, arguments: list[str]) -> list[str]:
    if name in ANY_MACHINE_HAS:
        return []
    if re.fullmatch(r"python3?(\.\d+)?", name):
        return python_complaints(arguments)
    if name == "pip":
        return pip_complaints(arguments)
    if name == "sansice":
        return sansice_complaints(arguments)
    if name == "bash":
        return [f"no such file: {path}" for path in arguments[:1] if not (ROOT / path).is_file()]
    if name in ("pytest", "ruff", "mypy", "pyright", "towncrier"):
        return [f"no such path: {word}" for word in arguments if word.startswith(("tests/", "sansice/")) and not exists(word)]
    return [f"unknown command: {name}"]


def exists(word: str) -> bool:
    return (ROOT / word.partition("::")[0]).exists()


def python_complaints(arguments: list[str]) -> list[str]:
    match arguments:
        case ["-m", "venv" | "http.server", *_]:
            return []
        case ["-m", module, *rest]:
            return simple_complaints(module, rest)
        case [path, *_] if not path.startswith("-"):
            script = ROOT / path
            return [] if script.is_file() or (script / "__main__.py").is_file() else [f"no such program: {path}"]
    return [f"unknown use of python: {shlex.join(arguments)}"]


def pip_complaints(arguments: list[str]) -> list[str]:
    match arguments:
        case ["install", *requirements]:
            named = [extra for word in requirements for extra in re.findall(r"\[([^\]]+)\]", word)]
            return [f"no such extra: {extra}" for group in named for extra in group.split(",") if extra not in extras()]
    return [f"unknown use of pip: {shlex.join(arguments)}"]


def sansice_complaints(arguments: list[str]) -> list[str]:
    subcommand = arguments[:1] if arguments and not arguments[0].startswith("-") else []
    text = sansice_help(tuple(subcommand))
    if text is None:
        return [f"no such command: sansice {' '.join(subcommand)}"]
    options = [word.partition("=")[0] for word in arguments if word.startswith("-")]
    return [f"no such option: {option}" for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", text)]


@functools.cache
def extras() -> frozenset[str]:
    return frozenset(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


@functools.cache
def sansice_help(subcommand: tuple[str, ...]) -> str | None:
    """What `sansice SUBCOMMAND --help` prints; None where there is no such command."""
    script = Path(sys.executable).with_name("sansice")
    env = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    run = subprocess.run([script, *subcommand, "--help"], capture_output=True, text=True, env=env, timeout=SECONDS)
    return run.stdout if run.returncode == 0 else None


BLOCKS = {
    path: read_blocks(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    for path in DOCUMENTS
    if path.parent.name != "changelog.d"
}
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
TWO_ENDED = {"embed.py": ["--controlling"]}
USED = [(block, blocks) for blocks in BLOCKS.values() for block in blocks if block.language in (*SHELL, "ini") and block.how]
ALL_RUN = ["docs/howto/stun.md"]  # no block there is only looked at
PYTHON = [(block, blocks) for blocks in BLOCKS.values() for block in blocks if block.language == "python"]
COMMANDS = [
    (f"{block}", line)
    for blocks in BLOCKS.values()
    for block in blocks
    if block.language in SHELL
    for line in block.text.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]


@pytest.mark.parametrize(("block", "blocks"), PYTHON, ids=[str(block) for block, _ in PYTHON])
def test_example_runs(block, blocks, tmp_path):
    source = program(block, blocks)
    if source is None:
        compile(block.text, str(block), "exec")
        return
    used_by = user(block)
    assert not (needless := needless_imports(source)) or is_continued(block, blocks), f"{block}: {needless} is never used"
    left = unused(source, used_by.read_text(encoding="utf-8") if used_by else "")
    assert not left or is_continued(block, blocks), f"{block}: nothing calls {left}; let a program in tests/docs/ do it"
    run = run_program(source, block.document, tmp_path, used_by)
    assert (run.returncode, run.stderr) == (0, ""), f"{block}\n{run.stdout}\n{run.stderr}"
    shown = printed(block, blocks)
    assert is_continued(block, blocks) or shown is None or run.stdout == shown, f"{block} prints\n{run.stdout}"


def run_program(source: str, document: str, folder: Path, used_by: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run an example as its reader would, with the interpreter's own warnings switched on; or the program that uses it."""
    path = folder / Path(document).with_suffix(".py").name
    path.write_text(source, encoding="utf-8")
    command = [sys.executable, "-P", "-X", "dev", *([used_by] if used_by else []), path]
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)


@pytest.mark.parametrize("blocks", BLOCKS.values(), ids=[path.name for path in BLOCKS])
def test_what_is_printed_follows_what_prints_it(blocks):
    before = ""
    for block in blocks:
        if block.language == "text" and block.how:
            assert (before, block.how) == ("python", PRINTED), f"{block} is printed by nothing"
        before = block.language


@pytest.mark.parametrize(("place", "command"), COMMANDS, ids=[f"{place} {command}" for place, command in COMMANDS])
def test_command_that_is_shown_exists(place, command):
    assert complaints(command) == []


@pytest.mark.parametrize(("block", "blocks"), USED, ids=[str(block) for block, _ in USED])
def test_commands_of_a_block_run(block, blocks, tmp_path):
    [used_by] = filter(None, [user(block)])
    written = [tmp_path / "block.txt"]
    written[0].write_text(block.text, encoding="utf-8")
    following = blocks[blocks.index(block) + 1 :][:1]
    if following and following[0].language == "text":
        written.append(tmp_path / "shown.txt")
        written[1].write_text(following[0].text, encoding="utf-8")
    command = [sys.executable, "-P", "-X", "dev", used_by, *written]
    run = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)
    assert (run.returncode, run.stderr) == (0, ""), f"{block}\n{run.stdout}\n{run.stderr}"


@pytest.mark.parametrize("document", ALL_RUN)
def test_every_block_of_a_document_runs(document):
    run = {block for block, _ in [*USED, *PYTHON]}
    assert [str(block) for block in BLOCKS[ROOT / document] if block not in run and block.language != "text"] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_program_runs(path, tmp_path):
    if path.name in TWO_ENDED:
        run_pair(path, TWO_ENDED[path.name], tmp_path)
        return
    run = run_program(path.read_text(encoding="utf-8"), path.name, tmp_path)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("name", TWO_ENDED)
def test_example_program_with_nobody_at_the_other_end_says_what_it_wants(name, tmp_path):
    run = run_program((ROOT / "docs/examples" / name).read_text(encoding="utf-8"), name, tmp_path)
    assert run.returncode == 1
    assert re.fullmatch(r"The line that the other end prints is wanted here: .+\n", run.stderr)


def run_pair(path: Path, options: list[str], folder: Path) -> None:
    """Two processes of one program, the first with `options`; each reads on stdin the first line that the other printed."""
    command = [sys.executable, "-P", "-X", "dev", path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": folder}
    with subprocess.Popen([*command, *options], **pipes) as one, subprocess.Popen(command, **pipes) as other:
        from_one, from_other = one.stdout.readline(), other.stdout.readline()
        other.stdin.write(from_one)
        other.stdin.flush()
        told = [one.communicate(from_other, timeout=SECONDS)[1], other.communicate(timeout=SECONDS)[1]]
    assert (one.returncode, other.returncode) == (0, 0), told
    assert not any("Warning" in text for text in told), told


@pytest.mark.parametrize("path", BLOCKS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    assert dead_links(path, path.read_text(encoding="utf-8")) == []


def dead_links(document: Path, text: str) -> list[str]:
    """The relative links whose file, or whose heading in it, is not there."""
    dead = []
    for match in LINK.finditer(text):
        target = document.parent / match["path"] if match["path"] else document
        if match["path"] and not target.exists():
            dead.append(match["path"])
        elif match["anchor"] and match["anchor"] not in anchors(text if target == document else target.read_text("utf-8")):
            dead.append(f"{match['path']}#{match['anchor']}")
    return dead


def anchors(text: str) -> set[str]:
    """What a heading is called in a link: lower case, hyphens for spaces, no punctuation."""
    headings = re.findall(r"^#+ +(.+?) *$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_design_has_every_package_and_folder_on_its_map():
    places = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").partition("\n## The contract")[0]
    packages = {path.parent.relative_to(ROOT / "sansice").as_posix() for path in (ROOT / "sansice").glob("*/**/__init__.py")}
    assert set(re.findall(r"sansice/(\w+)\.py", places)) == {path.stem for path in (ROOT / "sansice").glob("_[!_]*.py")} | {
        "machine",
        "driver",
    }
    assert set(re.findall(r"(?<!adapters/)\b(?:sansice/)?((?:stun|turn|ice|simulation|sockets)(?:/_\w+)?)/ ", places)) == packages


def test_the_map_of_modules_is_what_they_say_of_themselves():
    result = subprocess.run([sys.executable, ROOT / "tests" / "modules", "--check"], check=False)
    assert result.returncode == 0, "run: python tests/modules"


def test_how_to_embed_names_every_input_and_every_action():
    text = (ROOT / "docs/howto/embed.md").read_text(encoding="utf-8")
    wanted = [name for name in vars(Machine) if name.startswith("handle_")]
    wanted += [one.__name__ for one in Action.__subclasses__() if one.__module__ == Action.__module__]
    assert {"handle_resolved", "Resolve"} <= set(wanted)
    assert [name for name in wanted if f"`{name}(" not in text] == []


def test_reference_has_a_line_for_every_public_name_of_the_simulation():
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8").partition("\n## sansice.simulation\n")[2]
    lines = re.findall(r"^\| `(\w+)` \| \S", text, flags=re.MULTILINE)
    public = [name for name, value in vars(sansice.simulation).items() if not name.startswith("_") and not ismodule(value)]
    assert sorted(lines) == sorted(public)


def test_readme_shows_the_two_commands_and_an_example():
    lines = [command for place, command in COMMANDS if place.startswith("README.md")]
    assert any(line.endswith("sansice demo") and "-m venv" in line for line in lines)
    assert "python3 tests" in lines
    assert any(block.document == "README.md" for block, _ in PYTHON)


# The reader and the checks themselves, on planted documents


DOCUMENT = """\
Text.

```python
x = 1
```

<!-- test: continue -->

```python
print(x)
```

- item

  <!-- test: compile, it needs two machines -->
  ```python
  if True:
      connect(elsewhere)
  ```

```sh
python3 tests
```
"""


def test_blocks_are_read_with_their_comments_and_places():
    blocks = read_blocks("a.md", DOCUMENT)
    assert [(block.line, block.language, block.how) for block in blocks] == [
        (4, "python", ""),
        (10, "python", "continue"),
        (17, "python", "compile, it needs two machines"),
        (22, "sh", ""),
    ]
    assert blocks[2].text == "if True:\n    connect(elsewhere)\n"


def test_continued_block_runs_after_the_one_before_it_with_the_documents_line_numbers():
    blocks = read_blocks("a.md", DOCUMENT)
    assert program(blocks[1], blocks) == "\n\n\nx = 1\n\n\n\n\n\nprint(x)\n"
    assert program(blocks[0], blocks) == "\n\n\nx = 1\n"
    assert program(blocks[2], blocks) is None


@pytest.mark.parametrize("how", ["compile", "skip", "compile,", "continue; skip", "used by nobody", "used by tests/docs/x"])
def test_block_is_not_left_out_without_a_reason(how):
    blocks = read_blocks("a.md", f"<!-- test: {how} -->\n```python\n1\n```\n")
    with pytest.raises(ValueError, match="says nothing"):
        program(blocks[0], blocks)


@pytest.mark.parametrize(
    "text", ["```python\n1\n", "<!-- test: continue -->\n", "<!-- test: continue -->\ntext\n```python\n1\n```\n"]
)
def test_loose_fence_or_comment_is_an_error(text):
    with pytest.raises(ValueError, match=r"a\.md"):
        read_blocks("a.md", text)


def test_block_may_go_on_and_be_used():
    text = "```python\n1\n```\n<!-- test: continue; used by tests/docs/x.py -->\n```python\n2\n```\n"
    first, second = blocks = read_blocks("a.md", text)
    assert program(second, blocks) == "\n1\n\n\n\n2\n"
    assert (user(first), user(second)) == (None, ROOT / "tests/docs/x.py")
    assert (is_continued(first, blocks), is_continued(second, blocks)) == (True, False)


@pytest.mark.parametrize(
    ("source", "by", "left"),
    [
        ("import a\nb = 1", "", []),
        ("def f(): ...", "", ["f"]),
        ("async def f(): ...\nclass A: ...", "", ["f", "A"]),
        ("def f(): ...\nf()", "", []),
        ("def f(): f()", "", ["f"]),
        ("def f(): g()\ndef g(): f()", "", ["f", "g"]),
        ("def f(): g()\ndef g(): ...\nprint(f)", "", []),
        ("def f(): g()\ndef g(): ...", "run('f')", []),
        ("def f(): ...\nf = 1", "", ["f"]),
    ],
)
def test_what_is_defined_and_never_called_is_named(source, by, left):
    assert unused(source, by) == left


def test_import_that_is_never_used_is_named():
    assert needless_imports("import a, b.c, d as e\nfrom f import g, h as i\na(b.d)\ndef f(x=i): ...") == ["e", "g"]


def test_program_that_uses_a_block_runs_instead_of_it(tmp_path):
    by = tmp_path / "by.py"
    by.write_text("import runpy, sys\nassert runpy.run_path(sys.argv[1])['f']() == 7\n")
    assert run_program("def f(): return 7\nassert __name__ != '__main__'", "docs/a.md", tmp_path, by).returncode == 0
    assert run_program("def f(): return 8", "docs/a.md", tmp_path, by).returncode == 1


def test_what_a_block_and_those_it_continues_print_is_joined():
    shown = "<!-- test: printed -->\n```text\n{}\n```\n"
    blocks = read_blocks("a.md", DOCUMENT)
    assert printed(blocks[1], blocks) is None
    text = f"```python\n1\n```\n{shown.format('x')}<!-- test: continue -->\n```python\n2\n```\n{shown.format('y')}"
    first, _, second, _ = blocks = read_blocks("a.md", text)
    assert (printed(first, blocks), printed(second, blocks)) == ("x\n", "x\ny\n")


def test_continuing_nothing_is_an_error():
    blocks = read_blocks("a.md", "<!-- test: continue -->\n```python\n1\n```\n")
    with pytest.raises(ValueError, match="continue"):
        program(blocks[0], blocks)


@pytest.mark.parametrize(
    ("source", "fails"),
    [
        ("import attrs, trio\ntrio.run(trio.lowlevel.checkpoint)", False),
        ("raise SystemExit(3)", True),
        ("import warnings; warnings.warn('x')", True),
        ("async def f(): ...\nf()", True),
        ("import socket\nsocket.socket()", True),
    ],
    ids=["fine", "exit code", "warning", "not awaited", "not closed"],
)
def test_example_fails_by_exit_code_or_by_what_it_says_on_stderr(source, fails, tmp_path):
    run = run_program(source, "docs/a.md", tmp_path)
    assert ((run.returncode, run.stderr) != (0, "")) is fails


@pytest.mark.parametrize(
    "command",
    [
        "python3 tests",
        "$ python3 tests -k name  # one test",
        "python tests/bench codec --json",
        "CI=true bash .ci/run",
        "python3 -m venv .venv && .venv/bin/pip install '.[cli]'",
        "git clone URL && cd sansice",
        "python3 -m pytest tests/test_docs.py::test_example_runs",
    ],
)
def test_right_command_has_no_complaints(command):
    assert complaints(command) == []


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("python3 checks", "no such program: checks"),
        ("python tests/nothing --json", "no such program: tests/nothing"),
        ("python -c 1", "unknown use of python: -c 1"),
        ("pip install 'sansice[cli,gui]'", "no such extra: gui"),
        (".venv/bin/pip download x", "unknown use of pip: download x"),
        ("cd x && make all", "unknown command: make"),
        ("bash .ci/walk", "no such file: .ci/walk"),
        ("pytest tests/nowhere", "no such path: tests/nowhere"),
        ("sansice dream --json", "no such command: sansice dream"),
    ],
)
def test_wrong_command_is_named(command, complaint):
    assert complaints(command) == [complaint]


def test_options_of_sansice_are_looked_up_in_its_help(monkeypatch):
    texts = {("demo",): "Usage: sansice demo [OPTIONS]\n  --json-lines  x\n  --count N", (): "--version"}
    monkeypatch.setattr(sys.modules[__name__], "sansice_help", texts.get)
    assert complaints("sansice demo --count=5 && sansice --version") == []
    assert complaints("sansice demo --json") == ["no such option: --json"]


def test_dead_links_are_found(tmp_path):
    (tmp_path / "b.md").write_text("# Why `now`, not *then*?\n")
    text = "## Here\n[a](b.md) [b](b.md#why-now-not-then) [c](#here) [d](https://x.test/y)\n[e](c.md) [f](#there) [g](b.md#here)"
    assert dead_links(tmp_path / "a.md", text) == ["c.md", "#there", "b.md#here"]
