"""The floors of the house: who may import whom, read from the sources.

`breaches` judges one source text, so that each rule is tried on a planted source that breaks it before the whole tree is
judged by it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A rung imports only what is below it. What lies directly in sansice/ is the ground.
# `sockets` holds real sockets for adapters: above every machine, so that none imports it, and it stands on the ground alone,
# but for the values in which it tells of this machine's addresses, and for the one machine that all drivers of a process share,
# because they share its port: that of mDNS.
RUNGS = {"stun": 1, "turn": 2, "ice": 3, "simulation": 4, "sockets": 5}
SOCKETS_TELL = {("sansice.ice", "HostAddress"), ("sansice.ice", "InterfaceKind")}
SOCKETS_TELL |= {("sansice.ice", name) for name in ("MdnsAgent", "NameFailed", "NameResolved", "is_concealing_name")}

# Pure functions of their arguments. `os` is there for `os.urandom`, the default of every `entropy`.
# fmt: off
CORE_STDLIB = frozenset({
    "__future__", "abc", "array", "base64", "binascii", "bisect", "builtins", "collections", "contextlib", "dataclasses", "enum",
    "errno", "functools", "hashlib", "heapq", "hmac", "inspect", "ipaddress", "itertools", "json", "math", "operator", "os",
    "re", "statistics", "string", "stringprep", "struct", "textwrap", "types", "typing", "unicodedata", "weakref", "zlib",
})
# fmt: on
OF_OS = frozenset({"urandom"})
CORE_THIRD_PARTY = frozenset({"attrs"})
CORE_EXTRA = {
    "sansice/ice/__init__.py": {"importlib"},
    "sansice/stun/__init__.py": {"importlib"},
    "sansice/turn/__init__.py": {"importlib"},
    "sansice/driver.py": {"time"},
    "sansice/simulation": {"random", "sys"},
    "sansice/sockets": {"select", "socket", "sys", "threading", "time"},
    "sansice/sockets/_mmsg.py": {"ctypes", "mmap"},
    "sansice/_tls.py": {"ssl"},
    "sansice/_dtls.py": {"OpenSSL", "cryptography"},
    "sansice/_dtls_server.py": {"OpenSSL"},
}
# Imported only by the call that needs it, so that nobody else has to install it.
CORE_LAZY = {"sansice/simulation": {"hypothesis"}, "sansice/stun/_opaque_string.py": {"precis_i18n"}}
CORE_LAZY |= {"sansice/stun/_authentication/_token_cipher.py": {"cryptography"}}
CORE_LAZY |= {"sansice/sockets": {"OpenSSL", "dns", "ifaddr", "ssl"}}
CORE_LAZY |= {"sansice/sockets/_news.py": {"ctypes"}, "sansice/sockets/_links.py": {"fcntl"}}
CORE_LAZY |= {"sansice/ice/_handover.py": {"socket"}}  # the type of what an adapter lends
# Private modules of the ground that a package may use, beside those that all may use.
GROUND = {"sansice._timers", "sansice._enums"}
ANY_DRIVERS = {"sansice._proxy"}  # the simulated network is one, too
DRIVERS_OWN = ANY_DRIVERS | {"sansice._tls", "sansice._dtls", "sansice._dtls_server", "sansice._tls_error"}
OF_DRIVERS = {"sansice.sockets": DRIVERS_OWN, "sansice.simulation": ANY_DRIVERS}

# What an adapter may import beside the standard library and sansice; as the extras in pyproject.toml have it.
ADAPTERS = {
    "sansice_trio": {"attrs", "trio", "ifaddr"},
    "sansice_asyncio": {"attrs", "ifaddr"},
    "sansice_blocking": {"attrs", "ifaddr"},
    "sansice_cli": {"attrs", "trio", "click", "rich", "prometheus_client", "sansice_trio"},
    "sansice_pytest": {"attrs", "pytest"},
}
# What a folder of one may import besides; nothing else of the adapter does.
ADAPTERS_OWN = {"sansice_cli/simulate/_sweep": {"dask", "distributed", "matplotlib", "pyarrow"}}

MAX_LINES = 700
MAX_TRIO_SHARE = 0.25


class Import:
    """One imported module or name: `module` is absolute, `name` is None in `import module`.

    `lazy`: not executed when the module is imported, but by a function of it, or only by type checkers.
    """

    def __init__(self, line: int, module: str, name: str | None, *, relative: bool, lazy: bool) -> None:
        self.line = line
        self.module = module
        self.name = name
        self.relative = relative
        self.lazy = lazy

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def imports(path: str, source: str) -> Iterator[Import]:
    """Everything that the file at `path` (relative to the folder its top package is in) imports, wherever it stands."""
    package = path.removesuffix(".py").split("/")[:-1]
    for node, lazy in statements(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                for one in names:
                    yield Import(node.lineno, one.name, None, relative=False, lazy=lazy)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package[: len(package) - level + 1] if level else []
                full = ".".join([*base, *([module] if module else [])])
                for one in names:
                    yield Import(node.lineno, full, one.name, relative=bool(level), lazy=lazy)


def statements(parent: ast.AST, lazy: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes below, and whether importing the module leaves them alone."""
    match parent:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.If(test=ast.Name(id="TYPE_CHECKING")):
            lazy = True
    for node in ast.iter_child_nodes(parent):
        yield node, lazy
        yield from statements(node, lazy)


def breaches(path: str, source: str) -> list[str]:
    """What the file at `path` (`sansice/ice/_agent.py`, `sansice_trio/_udp.py`) does that its place forbids."""
    check = core_breach if path.startswith("sansice/") else adapter_breach
    found = [f"{path}:{one.line}: {problem}" for one in imports(path, source) if (problem := check(path, one))]
    if path.startswith("sansice/") and not path.startswith("sansice/sockets/"):
        found += [f"{path}:{line}: of os only {', '.join(OF_OS)}" for line in forbidden_os(source)]
    if (length := len(source.splitlines())) > MAX_LINES:
        found.append(f"{path}: {length} lines, more than {MAX_LINES}")
    return found


def core_breach(path: str, one: Import) -> str | None:
    if one.top == "sansice":
        return inner_breach(path, one)
    allowed = CORE_STDLIB | CORE_THIRD_PARTY | there(CORE_EXTRA, path) | (there(CORE_LAZY, path) if one.lazy else set())
    if one.top in allowed:
        return None
    return f"the core does not import {one.module}"


def there(places: dict[str, set[str]], path: str) -> set[str]:
    return set().union(*(modules for place, modules in places.items() if path == place or path.startswith(place + "/")))


def inner_breach(path: str, one: Import) -> str | None:
    """Rungs, and the two ways of spelling an import inside the core."""
    package = path.rpartition("/")[0].replace("/", ".")
    same = one.module == package or one.module.startswith(package + ".")
    if package == "sansice":
        same = rung(one.module) == 0 and rung(f"{one.module}.{one.name}") == 0
    if same and one.relative:
        return None
    if same:
        return f"inside a package: from .{one.module.rpartition('.')[2]} import ..."
    if one.relative:
        return f"across packages absolute: from {one.module} import ..."
    if package.count(".") > 1 and rung(one.module) == rung(package):
        return None
    lower = rung(one.module) if one.module != "sansice" else rung(f"sansice.{one.name}")
    if lower >= rung(package):
        return f"{one.module} is not below {package}"
    if package == "sansice.sockets" and lower and (one.module, one.name) not in SOCKETS_TELL:
        return f"{one.module} is a machine's, and sockets know no machine"
    parts = one.module.split(".")[1:] + ([one.name] if one.name else [])
    if any(map(is_private, parts)) and one.module not in GROUND | OF_DRIVERS.get(".".join(package.split(".")[:2]), set()):
        return f"{one.module}.{one.name} is private"
    return None


def adapter_breach(path: str, one: Import) -> str | None:
    me = path.partition("/")[0]
    if one.top == me:
        package = path.rpartition("/")[0].replace("/", ".")
        same = one.module == package or one.module.startswith(package + ".")
        if same == one.relative:
            return None
        return f"{'inside a package relative' if same else 'across packages absolute'}: {one.module}"
    if one.relative:
        return f"{one.module} is outside {me}"
    if one.top == "sansice" or one.top in ADAPTERS:
        if one.top in ADAPTERS and one.top not in ADAPTERS[me]:
            return f"an adapter does not import another: {one.top}"
        parts = one.module.split(".") + ([one.name] if one.name else [])
        return f"{'.'.join(parts)} is private" if any(map(is_private, parts)) else None
    if one.top in sys.stdlib_module_names or one.top in ADAPTERS[me] | there(ADAPTERS_OWN, path):
        return None
    return f"{me} does not depend on {one.top}"


def forbidden_os(source: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=attr) if attr not in OF_OS:
                yield node.lineno
            case ast.ImportFrom(module="os", names=names) if {one.name for one in names} - OF_OS:
                yield node.lineno


def rung(module: str) -> int:
    parts = module.split(".")
    return RUNGS.get(parts[1], 0) if len(parts) > 1 else 0


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def sources(folder: Path) -> dict[str, str]:
    """Text by path, relative to the folder's parent."""
    return {path.relative_to(folder.parent).as_posix(): path.read_text("utf-8") for path in sorted(folder.rglob("*.py"))}


def lines(folder: Path) -> int:
    return sum(len(text.splitlines()) for text in sources(folder).values())


def folder_imports(package: Path) -> dict[str, set[str]]:
    """Which folders inside `package` each of its folders imports from; its own modules are no folder."""
    found: dict[str, set[str]] = {}
    for path, text in sources(package).items():
        parts = path.split("/")
        if len(parts) == 3:
            modules = (one.module.split(".") for one in imports(f"sansice/{path}", text))
            found.setdefault(parts[1], set()).update(parts[2] for parts in modules if len(parts) > 3 and parts[1] == package.name)
    return {folder: others - {folder} for folder, others in found.items()}


PACKAGES = [ROOT / "sansice", *(ROOT / "adapters" / name for name in ADAPTERS)]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_every_module_keeps_to_its_rung(package):
    texts = sources(package)
    assert f"{package.name}/__init__.py" in texts
    assert [breach for path, text in texts.items() for breach in breaches(path, text)] == []


def test_every_package_has_a_rung_or_is_a_known_adapter():
    assert {path.parent.name for path in (ROOT / "sansice").glob("*/__init__.py")} <= set(RUNGS)
    assert {path.parent.name for path in (ROOT / "adapters").glob("*/__init__.py")} == set(ADAPTERS)


def test_folders_of_a_package_import_one_way():
    found = {package.name: folder_imports(package) for package in (ROOT / "sansice").iterdir() if package.is_dir()}
    assert found["stun"]["_client"] == {"_authentication", "_resolution"}
    for package in found.values():
        list(TopologicalSorter(package).static_order())


@pytest.mark.parametrize("package", ["sansice.ice", "sansice.stun", "sansice.simulation"])
def test_machines_bring_in_neither_sockets_nor_tls(package):
    program = f"import sys; before = set(sys.modules); import {package}; print(*set(sys.modules) - before)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    not_theirs = {"ssl", "_ssl", "OpenSSL", "select", "sansice.sockets", "sansice._tls", "sansice._dtls"}
    assert set(run.stdout.split()) & not_theirs == set()


def test_sockets_bring_in_ctypes_only_when_many_datagrams_have_come():
    program = "import sys, sansice.sockets; print(*sys.modules)"
    imported = set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split())
    assert imported.isdisjoint({"ctypes", "mmap", "sansice.sockets._mmsg"})


def test_sockets_bring_in_tls_only_when_it_is_used():
    program = "import sys, sansice.sockets; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) & {"ssl", "_ssl", "OpenSSL", "ifaddr", "dns"} == set()


def test_sockets_bring_in_ice_only_when_hosts_are_asked_for():
    program = "import sys, sansice.sockets; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "sansice.sockets" in imported
    assert "sansice.ice" not in imported


def test_trio_adapter_is_at_most_a_quarter_of_the_core():
    assert lines(ROOT / "adapters" / "sansice_trio") <= MAX_TRIO_SHARE * lines(ROOT / "sansice")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sansice/ice/_agent.py", "from sansice.ice._pair import Pair"),
        ("sansice/ice/_agent.py", "import sansice.ice"),
        ("sansice/ice/_agent.py", "from ..stun import Message"),
        ("sansice/ice/_agent.py", "from ..machine import Machine"),
        ("sansice/ice/_agent.py", "from sansice.stun._message import Message"),
        ("sansice/ice/_agent.py", "from sansice.stun import _message"),
        ("sansice/ice/_agent.py", "from sansice import _timers"),
        ("sansice/ice/_agent.py", "from sansice._dtls import Dtls"),
        ("sansice/ice/_agent.py", "from sansice.simulation import Network"),
        ("sansice/ice/_agent.py", "from sansice import simulation"),
        ("sansice/ice/_agent.py", "def f():\n    import sansice.simulation"),
        ("sansice/ice/_agent.py", "from sansice.sockets import Sockets"),
        ("sansice/simulation/_host.py", "from sansice.sockets import Sockets"),
        ("sansice/driver.py", "from sansice.sockets import Sockets"),
        ("sansice/sockets/_sockets.py", "from sansice.stun import Message"),
        ("sansice/sockets/_interfaces.py", "from sansice.ice import IceAgent"),
        ("sansice/sockets/_sockets.py", "import ssl"),
        ("sansice/sockets/_sockets.py", "import trio"),
        ("sansice/_tls.py", "import OpenSSL"),
        ("sansice/stun/_message.py", "from sansice._tls import TlsStream"),
        ("sansice/stun/_message.py", "from sansice.turn import ChannelData"),
        ("sansice/stun/_message.py", "from sansice.ice import Candidate"),
        ("sansice/stun/_server/_server.py", "from .._message import Message"),
        ("sansice/stun/_server/_server.py", "from sansice.stun._server._config import Listener"),
        ("sansice/stun/_server/_server.py", "from sansice.ice import Candidate"),
        ("sansice/ice/_agent.py", "from sansice.stun._server._config import Listener"),
        ("sansice/machine.py", "from .stun import Message"),
        ("sansice/machine.py", "from . import stun"),
        ("sansice/machine.py", "from sansice.stun import Message"),
        ("sansice/driver.py", "from sansice.machine import Machine"),
        ("sansice/machine.py", "import time"),
        ("sansice/ice/_agent.py", "import random"),
        ("sansice/stun/_message.py", "from secrets import token_bytes"),
        ("sansice/stun/_message.py", "if TYPE_CHECKING:\n    import trio"),
        ("sansice/stun/_message.py", "import attr"),
        ("sansice/driver.py", "import socket"),
        ("sansice/simulation/_clock.py", "import time"),
        ("sansice/simulation/_contract.py", "import hypothesis"),
        ("sansice/simulation/_contract.py", "class A:\n    from hypothesis import given"),
        ("sansice/ice/_agent.py", "def f():\n    import hypothesis"),
        ("sansice/ice/_agent.py", "import asyncio.events"),
        ("sansice/ice/_agent.py", "import os\nprint(os.environ)"),
        ("sansice/ice/_agent.py", "from os import environ"),
        ("sansice/ice/_agent.py", "from sansice_trio import open_ice"),
        ("sansice/ice/_agent.py", "x = 1\n" * 701),
        ("sansice_trio/_udp.py", "from sansice._timers import Timers"),
        ("sansice_trio/_udp.py", "from sansice.stun._message import Message"),
        ("sansice_trio/_udp.py", "from sansice.stun import _message"),
        ("sansice_trio/_udp.py", "import sansice.stun._message"),
        ("sansice_trio/_udp.py", "from sansice_cli import main"),
        ("sansice_trio/_udp.py", "from sansice_trio._driver import TrioDriver"),
        ("sansice_trio/_udp.py", "from .. import sansice_cli"),
        ("sansice_trio/_udp.py", "import rich"),
        ("sansice_trio/_udp.py", "x = 1\n" * 701),
        ("sansice_cli/_demo.py", "from sansice_trio._driver import TrioDriver"),
        ("sansice_cli/_demo.py", "import aioice"),
        ("sansice_cli/simulate/_command.py", "def f():\n    import distributed"),
        ("sansice_cli/demo/_story.py", "from .._text import printable"),
        ("sansice_cli/demo/_story.py", "from sansice_cli.demo._echo import Echo"),
    ],
)
def test_checker_finds_the_planted_breach(path, source):
    assert len(breaches(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sansice/__init__.py", "from .machine import Machine as Machine"),
        ("sansice/driver.py", "import time\nfrom .machine import Machine"),
        ("sansice/stun/__init__.py", "from . import shapes as shapes\nfrom ._message import Message as Message"),
        ("sansice/stun/__init__.py", "from ._server._config import Listener as Listener"),
        ("sansice/stun/_server/_server.py", "from sansice.stun._message import Message\nfrom ._config import Listener"),
        ("sansice/stun/_client/_client.py", "from sansice.stun._authentication._nonce import Nonces"),
        ("sansice/ice/_agent.py", "from collections.abc import Sequence\nimport attrs\nfrom sansice.stun import Message"),
        ("sansice/ice/_agent.py", "from sansice._timers import Timers\nfrom sansice.machine import Machine"),
        ("sansice/ice/_agent.py", "from sansice import Address, __version__\nimport os\nos.urandom"),
        ("sansice/simulation/_clock.py", "import random\nfrom sansice.ice import IceAgent\nfrom sansice.driver import Driver"),
        ("sansice/simulation/_contract.py", "if TYPE_CHECKING:\n    import hypothesis\ndef f():\n    import hypothesis"),
        ("sansice_trio/_udp.py", "import socket\nimport trio\nfrom sansice import Address\nfrom ._driver import TrioDriver"),
        ("sansice/sockets/_interfaces.py", "from sansice.ice import HostAddress"),
        ("sansice/sockets/_sockets.py", "import socket, select\nfrom sansice._tls import Tls\nfrom sansice.driver import Driver"),
        ("sansice/_tls.py", "import ssl\nfrom .machine import SocketError"),
        ("sansice_cli/_demo.py", "import click, rich\nfrom sansice_trio import open_ice\nfrom sansice.ice import Candidate"),
        ("sansice_cli/demo/_story.py", "from sansice_cli._text import printable\nfrom ._echo import Echo"),
        ("sansice_cli/simulate/_sweep/_cluster.py", "import dask, distributed, pyarrow, matplotlib"),
        ("sansice_cli/_demo.py", "x = 1\n" * 700),
    ],
)
def test_checker_accepts_what_the_rules_allow(path, source):
    assert breaches(path, source) == []
