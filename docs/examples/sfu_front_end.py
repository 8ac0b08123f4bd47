"""The front end of a media server: any number of clients on one port, each packet passed on to all others.

    python docs/examples/sfu_front_end.py --listen 0.0.0.0:3478

Signalling is a line of JSON each, on stdin and stdout; in your program it is a WebSocket or an HTTP request:

    {"from": "alice", "sdp": "v=0..."}      an offer of alice's; who offers again (a page that was reloaded) begins again
    {"to": "alice", "sdp": "v=0..."}        the answer to it; or "error", and why
    {"from": "alice"}                       alice leaves
    {"of": "alice", "state": "completed"}   her connection has come to that

A browser's packets are DTLS: its handshake, and SRTP or data channels after it, are what a media server adds here. Clients of
sansice's own need none of that, and without an argument three of them meet on loopback.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable

import trio

from sansice.ice import IceError, IceState, NotConnected, OfferAnswer, SessionDescription, SessionSdp
from sansice_trio import IceService, ServedConnection, open_ice, serve_ice

# What ICE does not know of: one section with data channels (RFC 8841). The fingerprint is that of your DTLS certificate, and
# "passive" makes the browser begin with DTLS.
TEMPLATE = """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:0
a=sctp-port:5000
a=setup:{setup}
a=fingerprint:sha-256 {fingerprint}
"""
FINGERPRINT = ":".join(["AB"] * 32)


class FrontEnd:
    """Everybody's connection, by name.

    Args:
        service: the port.
        nursery: where each client has a task, as long as it is there.
        say: sends a line of signalling.
    """

    def __init__(self, service: IceService, nursery: trio.Nursery, say: Callable[[dict[str, str]], None]) -> None:
        self.service = service
        self.nursery = nursery
        self.say = say
        self.clients: dict[str, ServedConnection] = {}

    async def answer(self, name: str, sdp: str) -> str:
        """Take an offer, and begin to serve who has made it.

        Raises:
            ValueError: an SDP that cannot be read, or has no ICE in it.
        """
        dialog = OfferAnswer()
        theirs = dialog.receive_offer(SessionSdp.from_sdp(sdp)).description
        if theirs is None:
            raise ValueError("an offer without ICE")
        self.dismiss(name)
        ice = self.clients[name] = self.service.open()
        ours = SessionDescription([await ice.gather()], mids=["0"])
        answer = dialog.answer(SessionSdp.from_sdp(TEMPLATE.format(setup="passive", fingerprint=FINGERPRINT)), ours)
        ice.set_remote(theirs[0])
        self.nursery.start_soon(self.serve, name, ice)
        self.nursery.start_soon(self.watch, name, ice)
        return answer.to_sdp()

    async def serve(self, name: str, ice: ServedConnection) -> None:
        """Pass on what one client sends. Whatever happens to it ends its own connection only."""
        with contextlib.suppress(IceError):
            async with ice:
                await ice.connected()
                async for packet in ice:
                    for other in self.clients.values():
                        if other is not ice:
                            with contextlib.suppress(NotConnected):  # not there yet, or not any more
                                other.send_nowait(packet)
        if self.clients.get(name) is ice:
            del self.clients[name]

    async def watch(self, name: str, ice: ServedConnection) -> None:
        """Tell how it goes."""
        async for state in ice.states():
            if state is not IceState.NEW:
                self.say({"of": name, "state": state.value})

    def dismiss(self, name: str) -> None:
        """End a client's connection, if it has one."""
        ice = self.clients.pop(name, None)
        if ice is not None:
            ice.close()


async def front_end(listen: str, lines: AsyncIterator[str], say: Callable[[dict[str, str]], None]) -> None:
    """Serve until there is no more signalling."""
    async with serve_ice(listen) as service, trio.open_nursery() as nursery:
        print("listening at", *service.listening, file=sys.stderr)
        front = FrontEnd(service, nursery, say)
        async for line in lines:
            message = json.loads(line)
            name = message["from"]
            if "sdp" not in message:
                front.dismiss(name)
                continue
            try:
                say({"to": name, "sdp": await front.answer(name, message["sdp"])})
            except ValueError as error:  # one client's nonsense is no other's business
                say({"to": name, "error": str(error)})
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------- the demonstration


async def demo() -> None:
    """Three clients meet, and one says hello to the others."""
    async with serve_ice("127.0.0.1:0") as service, trio.open_nursery() as nursery:
        front = FrontEnd(service, nursery, lambda message: None)
        async with contextlib.AsyncExitStack() as stack:
            clients = []
            for name in ("alice", "bob", "carol"):
                ice = await stack.enter_async_context(open_ice(controlling=True, include_loopback=True))
                dialog = OfferAnswer()
                ours = SessionDescription([await ice.gather()], mids=["0"])
                template = SessionSdp.from_sdp(TEMPLATE.format(setup="actpass", fingerprint=FINGERPRINT))
                sdp = await front.answer(name, dialog.offer(template, ours).to_sdp())
                theirs = dialog.receive_answer(SessionSdp.from_sdp(sdp)).description
                assert theirs is not None
                pair = await ice.connect(theirs[0])
                print(name, "is connected to the port that serves all:", pair.remote.address == service.listening[0])
                clients.append(ice)
            for client in service.connections:
                await client.connected()
            await clients[0].send(b"hello from alice")
            for name, ice in (("bob", clients[1]), ("carol", clients[2])):
                print(name, "hears", await ice.receive())
        nursery.cancel_scope.cancel()


async def lines_of_stdin() -> AsyncIterator[str]:
    """Each line, until there are no more."""
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        yield line


async def main() -> None:
    """Read the arguments, and do it."""
    parser = argparse.ArgumentParser(description="Any number of ICE clients on one port, over UDP and TCP.")
    parser.add_argument("--listen", metavar="ADDRESS:PORT", help="serve; otherwise three clients meet on loopback")
    arguments = parser.parse_args()
    if arguments.listen is None:
        await demo()
    else:
        await front_end(arguments.listen, lines_of_stdin(), lambda message: print(json.dumps(message), flush=True))


if __name__ == "__main__":
    trio.run(main)
