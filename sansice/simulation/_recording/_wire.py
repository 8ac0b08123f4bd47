"""A step as bytes and back: the frequent ones packed, the others as JSON.

Datagrams in, datagrams out and data handed over make up nearly all of a recording, so these have forms of their own. What
does not fit them (an id beyond 64 bits, a source of another shape) is written as JSON like everything else, so that the
two ways are one to whoever reads: `read_step_untrusted` gives the `Step` that `to_json` would have made.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from sansice.ice import DataReceived
from sansice.machine import Action, Address, Event, SendDatagram, SendDatagrams, SendStream

from ._step import Step, check_step
from ._values import Json, class_name, parse_untrusted, to_json

# What a frame's first byte says. The first four are calls of these methods; CALL is any.
CONSTRUCTION, DATAGRAMS, TIMER, STREAM_DATA, SEND, CALL = b"NDTBSC"
STEPS = frozenset((CONSTRUCTION, DATAGRAMS, TIMER, STREAM_DATA, SEND, CALL))

_DRAWN, _ANSWERS, _RESULT, _RAISED, _NEVER = 1, 2, 4, 8, 16  # which parts follow; _NEVER: the deadline is infinity
_NOT_FITTING = (struct.error, AttributeError, TypeError, ValueError)

_pack_start = struct.Struct(">BdqI").pack
_pack_now = struct.Struct(">Bd").pack
_pack_send = struct.Struct(">BdHHI").pack
_pack_count = struct.Struct(">I").pack
_pack_deadline = struct.Struct(">d").pack
_pack_peer = struct.Struct(">BH").pack
_pack_output = struct.Struct(">Bq").pack
_pack_received = struct.Struct(">BHH").pack

_SEND_DATAGRAM, _SEND_DATAGRAMS, _SEND_STREAM, _DATA_RECEIVED, _OTHER = b"dmsro"
_TEXT = 0x80  # in the length of a host: it stands in a plain tuple, not in an Address
_SAME = 0x80000000  # instead of a length: the data is that of the input of this number


class Call:
    """The beginning of a step: what a machine is about to be told.

    Attributes:
        parts: its bytes.
        inputs: the data in it, which outputs may repeat.
        now: when, or minus infinity where the call has no such argument.
        is_frequent: whether it is one of the calls that may wait a while before they are on the disk.
    """

    __slots__ = ("inputs", "is_frequent", "now", "parts")

    def __init__(self, parts: list[bytes], now: float = -inf, inputs: Sequence[bytes] = (), is_frequent: bool = False) -> None:
        self.parts: list[bytes] = parts
        self.now: float = now
        self.inputs: Sequence[bytes] = inputs
        self.is_frequent: bool = is_frequent


def write_call(method: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Call:
    """Begin a step.

    Raises:
        Opaque: an argument is no value.
    """
    write = _FREQUENT.get(method)
    if write is not None:
        try:
            return write(*arguments, **keywords)
        except _NOT_FITTING:
            pass
    if not method:
        return Call([bytes((CONSTRUCTION,))])
    form = {
        "method": method,
        "arguments": [to_json(one, strict=True) for one in arguments],
        "keywords": {name: to_json(one, strict=True) for name, one in keywords.items()},
    }
    now = keywords.get("now", -inf)
    return Call([bytes((CALL,)), _text(form)], now if isinstance(now, float) else -inf)


def _datagrams(socket: int, batch: Sequence[tuple[tuple[str, int], bytes]], *, now: float) -> Call:
    parts = [_pack_start(DATAGRAMS, _moment(now), socket, len(batch))]
    inputs = []
    for source, data in batch:
        parts += (_peer(source), _pack_count(len(data)), _bytes(data))
        inputs.append(data)
    return Call(parts, now, inputs, True)


def _timer(*, now: float) -> Call:
    return Call([_pack_now(TIMER, _moment(now))], now, (), True)


def _stream_data(socket: int, data: bytes, *, now: float) -> Call:
    return Call([_pack_start(STREAM_DATA, _moment(now), socket, len(data)), _bytes(data)], now, (data,), True)


def _send(data: bytes, *, stream: int, component: int, now: float) -> Call:
    return Call([_pack_send(SEND, _moment(now), stream, component, len(data)), _bytes(data)], now, (data,), True)


_FREQUENT: dict[str, Callable[..., Call]] = {
    "handle_datagrams": _datagrams,
    "handle_timer": _timer,
    "handle_stream_data": _stream_data,
    "send": _send,
}


def _bytes(data: bytes) -> bytes:
    if type(data) is not bytes:
        raise TypeError
    return data


def _moment(now: float) -> float:
    if type(now) is not float:  # packed, 1 would come back as 1.0
        raise TypeError
    return now


def _peer(address: tuple[str, int]) -> bytes:
    host, port = address
    text = host.encode()
    size = len(text)
    if size >= _TEXT:
        raise ValueError
    return _pack_peer(size if type(address) is Address else size | _TEXT, port) + text


_encode = json.JSONEncoder(separators=(",", ":")).encode


def _text(form: Json) -> bytes:
    text = _encode(form).encode()
    return _pack_count(len(text)) + text


def write_step(
    call: Call,
    drawn: Sequence[bytes],
    answers: list[Json],
    result: object,
    raised: str,
    outputs: Sequence[Action | Event],
    deadline: float,
) -> bytes:
    """The whole step: the body of a frame."""
    parts = call.parts
    place = len(parts)
    flags = 0
    if deadline == inf:
        flags = _NEVER
        parts.append(b"")
    else:
        parts += (b"", _pack_deadline(deadline))
    if drawn:
        flags |= _DRAWN
        parts.append(_pack_count(len(drawn)))
        for one in drawn:
            parts += (_pack_count(len(one)), one)
    if answers:
        flags |= _ANSWERS
        parts.append(_text(answers))
    if result is not None:
        flags |= _RESULT
        parts.append(_text(to_json(result, strict=False)))
    if raised:
        flags |= _RAISED
        parts.append(_text(raised))
    parts[place] = bytes((flags,))
    number = 0  # of the next input that an output may repeat
    for output in outputs:
        try:
            number = _write_output(output, call.inputs, number, parts)
        except _NOT_FITTING:
            parts += (bytes((_OTHER,)), _text(to_json(output, strict=False)))
    return b"".join(parts)


def _write_output(output: Action | Event, inputs: Sequence[bytes], number: int, parts: list[bytes]) -> int:
    if type(output) is SendDatagram:
        head = _pack_output(_SEND_DATAGRAM, output.socket) + _peer(output.destination)
        data = output.data
    elif type(output) is DataReceived:
        head = _pack_received(_DATA_RECEIVED, output.stream, output.component)
        data = output.data
    elif type(output) is SendStream:
        head = _pack_output(_SEND_STREAM, output.socket)
        data = output.data
    elif type(output) is SendDatagrams:
        return _write_datagrams(output, inputs, number, parts)
    else:
        raise TypeError
    return _write_data(head, data, inputs, number, parts)


def _write_datagrams(output: SendDatagrams, inputs: Sequence[bytes], number: int, parts: list[bytes]) -> int:
    whole = [_pack_output(_SEND_DATAGRAMS, output.socket) + _pack_count(len(output.items))]
    for destination, data in output.items:
        number = _write_data(_peer(destination), data, inputs, number, whole)
    parts += whole
    return number


def _write_data(head: bytes, data: bytes, inputs: Sequence[bytes], number: int, parts: list[bytes]) -> int:
    if type(data) is not bytes:
        raise TypeError
    # Only the very object is looked for, and only in order: what machines hand on untouched is found, at no cost.
    for index in range(number, len(inputs)):
        if data is inputs[index]:
            parts += (head, _pack_count(_SAME | index))
            return index + 1
    parts += (head, _pack_count(len(data)), data)
    return number


# --------------------------------------------------------------------------- reading


class _Reader:
    """A frame's body, read from its beginning. Everything that reads too far raises."""

    __slots__ = ("_at", "_body")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        found = layout.unpack_from(self._body, self._at)
        self._at += layout.size
        return found

    def take(self, size: int) -> bytes:
        found = self._body[self._at : self._at + size]
        if len(found) < size:
            raise ValueError("the step is shorter than it says")
        self._at += size
        return found

    def count(self) -> int:
        (number,) = self.unpack(_COUNT)
        return int(number)

    def form(self) -> Json:
        return parse_untrusted(self.take(self.count()))

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._body)


_BYTE, _COUNT, _MOMENT, _ID = (struct.Struct(layout) for layout in (">B", ">I", ">d", ">q"))
_ON_SOCKET, _ON_STREAM, _PEER, _PART, _BATCH = (struct.Struct(layout) for layout in (">dqI", ">dHHI", ">BH", ">HH", ">qI"))


def read_step_untrusted(body: bytes) -> Step:
    """The step that `write_step` was given.

    Raises:
        ValueError: it never made these bytes.
    """
    try:
        return _read_step(_Reader(body))
    except (struct.error, KeyError, TypeError) as error:
        raise ValueError(f"a step of another shape: {error}") from None


def _read_step(reader: _Reader) -> Step:
    (kind,) = reader.unpack(_BYTE)
    step = Step()
    inputs = _READ_CALL[kind](reader, step)
    (flags,) = reader.unpack(_BYTE)
    step.deadline = inf if flags & _NEVER else reader.unpack(_MOMENT)[0]
    if flags & _DRAWN:
        step.drawn = [reader.take(reader.count()).hex() for _ in range(reader.count())]
    if flags & _ANSWERS:
        step.answers = reader.form()
    if flags & _RESULT:
        step.result = reader.form()
    if flags & _RAISED:
        step.raised = reader.form()
    while not reader.is_at_end:
        step.outputs.append(_read_output(reader, inputs))
    check_step(step)
    return step


def _read_construction(reader: _Reader, step: Step) -> list[str]:
    return []


def _read_datagrams(reader: _Reader, step: Step) -> list[str]:
    now, socket, count = reader.unpack(_ON_SOCKET)
    batch: list[Json] = []
    inputs: list[str] = []
    for _ in range(count):
        source = _read_peer(reader)
        data = reader.take(reader.count()).hex()
        batch.append({"tuple": [source, {"bytes": data}]})
        inputs.append(data)
    step.method, step.arguments, step.keywords = "handle_datagrams", [socket, batch], {"now": now}
    return inputs


def _read_timer(reader: _Reader, step: Step) -> list[str]:
    step.method, step.keywords = "handle_timer", {"now": reader.unpack(_MOMENT)[0]}
    return []


def _read_stream_data(reader: _Reader, step: Step) -> list[str]:
    now, socket, size = reader.unpack(_ON_SOCKET)
    data = reader.take(size).hex()
    step.method, step.arguments, step.keywords = "handle_stream_data", [socket, {"bytes": data}], {"now": now}
    return [data]


def _read_send(reader: _Reader, step: Step) -> list[str]:
    now, stream, component, size = reader.unpack(_ON_STREAM)
    data = reader.take(size).hex()
    step.method, step.arguments = "send", [{"bytes": data}]
    step.keywords = {"stream": stream, "component": component, "now": now}
    return [data]


def _read_call(reader: _Reader, step: Step) -> list[str]:
    form = reader.form()
    step.method, step.arguments, step.keywords = form["method"], form["arguments"], form["keywords"]
    return []


_READ_CALL: dict[int, Callable[[_Reader, Step], list[str]]] = {
    CONSTRUCTION: _read_construction,
    DATAGRAMS: _read_datagrams,
    TIMER: _read_timer,
    STREAM_DATA: _read_stream_data,
    SEND: _read_send,
    CALL: _read_call,
}


def _read_peer(reader: _Reader) -> Json:
    size, port = reader.unpack(_PEER)
    items = [reader.take(size & ~_TEXT).decode(), port]
    return {"tuple": items} if size & _TEXT else {"class": _ADDRESS, "items": items}


def _read_output(reader: _Reader, inputs: Sequence[str]) -> Json:
    (kind,) = reader.unpack(_BYTE)
    if kind == _OTHER:
        return reader.form()
    if kind == _SEND_DATAGRAM:
        (socket,) = reader.unpack(_ID)
        destination = _read_peer(reader)
        return {"class": _DATAGRAM_SENT, "items": [socket, destination, _read_data(reader, inputs)]}
    if kind == _SEND_DATAGRAMS:
        socket, count = reader.unpack(_BATCH)
        batch = [{"tuple": [_read_peer(reader), _read_data(reader, inputs)]} for _ in range(count)]
        return {"class": _BATCH_SENT, "items": [socket, {"tuple": batch}]}
    if kind == _SEND_STREAM:
        (socket,) = reader.unpack(_ID)
        return {"class": _STREAM_SENT, "items": [socket, _read_data(reader, inputs)]}
    if kind == _DATA_RECEIVED:
        stream, component = reader.unpack(_PART)
        return {"class": _RECEIVED, "items": [stream, component, _read_data(reader, inputs)]}
    raise KeyError(f"no output begins with {kind}")


def _read_data(reader: _Reader, inputs: Sequence[str]) -> Json:
    size = reader.count()
    if not size & _SAME:
        return {"bytes": reader.take(size).hex()}
    index = size & ~_SAME
    if index >= len(inputs):
        raise ValueError(f"there is no input {index}")
    return {"bytes": inputs[index]}


_ADDRESS, _DATAGRAM_SENT, _BATCH_SENT, _STREAM_SENT, _RECEIVED = map(
    class_name, (Address, SendDatagram, SendDatagrams, SendStream, DataReceived)
)
