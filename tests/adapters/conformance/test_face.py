"""The three adapters have the same names, with the same arguments, in files of the same names."""

import inspect
from pathlib import Path

import pytest

import sansice_asyncio
import sansice_blocking
import sansice_trio
from adapters.conformance._runtimes import RUNTIMES

CLASSES = [
    "Candidates",
    "Driver",
    "EventQueue",
    "IceChannel",
    "IceConnection",
    "IceService",
    "IceStates",
    "ServedConnection",
    "StunService",
    "TurnConnection",
    "TurnPeer",
    "TurnService",
    "TurnStream",
]

OTHERS = [runtime for runtime in RUNTIMES if runtime.adapter is not sansice_trio]
TRIO = RUNTIMES[0]

# What only threads have: a lock to look at a machine, and time limits where the others have cancellation.
OF_THREADS = {"lock"}
# What only tasks have: a driver in a thread of its own reads all the time, and need not be asked to.
OF_TASKS = {"look"}
# What only trio has: its sockets are a runtime's own where a test put a network under it, and one task reads for all drivers.
OF_TRIO = {"_fallback.py", "_custom.py", "_ice_socket.py", "_reactor.py"}
# And only there can a program put a socket of its own where libraries expect one.
NAMES_OF_TRIO = {"IceSocket"}


def names(runtime):
    """The public names of an adapter, its driver under one name for all."""
    found = {name for name in dir(runtime.adapter) if not name.startswith("_") and name != "TYPE_CHECKING"}
    own = {name for name in found if not inspect.ismodule(getattr(runtime.adapter, name))}
    return {"Driver" if name == runtime.driver.__name__ else name for name in own}


def thing(runtime, name):
    return runtime.driver if name == "Driver" else getattr(runtime.adapter, name)


# What `async` changes in a class: the names of its special methods.
SPECIAL = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__", "__anext__": "__next__"}


def members(owner):
    """A class's public and special methods and properties, wherever they are inherited from."""
    found = {}
    for kind in reversed(owner.__mro__[:-1]):
        for name, value in vars(kind).items():
            if name in SPECIAL or name in SPECIAL.values() or not name.startswith("_"):
                found[SPECIAL.get(name, name)] = value
    return found


def arguments(function):
    """Names, kinds and defaults of arguments, without time limits that only waiting threads need."""
    return [
        (one.name, one.kind, repr(one.default) if "Config" in repr(one.default) else one.default)
        for one in inspect.signature(function).parameters.values()
        if one.name != "timeout" or one.default is not None
    ]


@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_names_are_the_same(other):
    assert names(other) == names(TRIO) - NAMES_OF_TRIO


@pytest.mark.parametrize("other", OTHERS, ids=repr)
@pytest.mark.parametrize("name", sorted(name for name in names(TRIO) if inspect.isfunction(thing(TRIO, name))))
def test_functions_take_the_same_arguments(other, name):
    assert arguments(thing(other, name)) == arguments(thing(TRIO, name))


@pytest.mark.parametrize("other", OTHERS, ids=repr)
@pytest.mark.parametrize(
    "name",
    [
        "Candidates",
        "Driver",
        "EventQueue",
        "IceChannel",
        "IceConnection",
        "IceService",
        "IceStates",
        "ServedConnection",
        "StunService",
        "TurnConnection",
        "TurnPeer",
        "TurnService",
        "TurnStream",
    ],
)
def test_classes_have_the_same_members_with_the_same_arguments(other, name):
    ours, theirs = members(thing(other, name)), members(thing(TRIO, name))
    theirs = {
        member: value for member, value in theirs.items() if other.adapter is not sansice_blocking or member not in OF_TASKS
    }
    assert set(ours) - OF_THREADS == set(theirs)
    for member, value in theirs.items():
        if inspect.isfunction(value) and not member.startswith("__"):
            assert (member, arguments(ours[member])) == (member, arguments(value))


@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_files_have_the_same_names_and_the_same_things_in_the_same_order(other):
    def things(runtime, file):
        text = (Path(runtime.adapter.__file__).parent / file).read_text("utf-8")
        lines = [line.removeprefix("async ").removeprefix("    async ").strip() for line in text.splitlines()]
        heads = [line.split("(")[0].split(":")[0] for line in lines if line.startswith(("def ", "class "))]
        return [head for head in heads if not head.split()[1].startswith("_") and "Driver" not in head]

    folders = [Path(runtime.adapter.__file__).parent for runtime in (TRIO, other)]
    theirs, ours = ({path.name for path in folder.glob("*.py")} for folder in folders)
    assert ours == theirs - OF_TRIO
    for file in sorted(ours):
        model = [one for one in things(TRIO, file) if other.adapter is not sansice_blocking or one.split()[1] not in OF_TASKS]
        # Threads override some more, to lock.
        assert (file, [one for one in things(other, file) if one in model]) == (file, model)


def test_no_adapter_knows_another():
    for one in (sansice_asyncio, sansice_blocking):
        for path in Path(one.__file__).parent.glob("*.py"):
            assert "trio" not in path.read_text("utf-8")
