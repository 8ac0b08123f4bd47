"""libnice in a process of its own, on Debian's Python, which has the binding. It is told what to do as `_peer_process` says.

- `{"open": {"controlling", "options": [name, ...], "components", "addresses", "stun", "relay", "only_relays", "udp", "tcp"}}`:
  an agent of one
  stream, which begins to gather; an empty list of addresses means all that the machine has, a STUN server is `[host, port]`,
  and a relay `[host, port, user, password]`. It says `{"ufrag", "pwd"}`
- `{"candidate": number}`: the local candidate of that number, in SDP, or null where there is none
- `{"remote": {"ufrag", "pwd", "candidates": [sdp, ...], "end": bool}}`: what is known of the partner; as much as there is
- `{"until": state}`: waits until every component is in that state, or any has failed; says the states of all so far
- `{"selected": component}`: the pair in use, as `[local, remote]`
- `{"controlling": null}`: its role of this moment
- `{"send": [hex, ...], "component": number}`, `{"receive": number, "component": number}`: datagrams; both say them
- `{"restart": null}`: new credentials; it says them
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from collections.abc import Callable

import gi

gi.require_version("Nice", "0.1")
from gi.repository import GLib, Nice  # noqa: E402

# The binding leaves out what takes a callback for data, and sends text alone.
LIBRARY = ctypes.CDLL("libnice.so.10")
RECEIVE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)
LIBRARY.nice_agent_attach_recv.argtypes = [
    ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, RECEIVE, ctypes.c_void_p,
]  # fmt: skip
LIBRARY.nice_agent_send.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, ctypes.c_char_p]


class Peer:
    """The agent, and the answers that wait for something to happen to it."""

    def __init__(self, *, controlling, options, components, addresses, stun, relay, only_relays, udp, tcp) -> None:
        flags = Nice.AgentOption(0)
        for name in options:
            flags |= getattr(Nice.AgentOption, name)
        self._agent = agent = Nice.Agent.new_full(GLib.MainContext.default(), Nice.Compatibility.RFC5245, flags)
        agent.props.upnp = False
        agent.props.ice_udp, agent.props.ice_tcp = udp, tcp
        agent.props.controlling_mode = controlling
        agent.props.force_relay = only_relays
        agent.set_software("libnice")
        for address in addresses:
            local = Nice.Address()
            local.set_from_string(address)
            agent.add_local_address(local)
        if stun is not None:
            agent.props.stun_server, agent.props.stun_server_port = stun
        self._components = range(1, components + 1)
        self._stream = agent.add_stream(components)
        self._states = {component: ["disconnected"] for component in self._components}
        self._received = {component: [] for component in self._components}
        self._selected = {}
        self._candidates = []
        self._gathered = False
        self._remote = ("", "")
        self._waiting: list[tuple[Callable[[], list], Callable]] = []
        agent.connect("new-candidate-full", self._on_candidate)
        agent.connect("candidate-gathering-done", self._on_gathered)
        agent.connect("component-state-changed", self._on_state)
        agent.connect("new-selected-pair-full", self._on_selected)
        self._callback = RECEIVE(self._on_data)
        for component in self._components:
            if relay is not None:
                agent.set_relay_info(self._stream, component, *relay, Nice.RelayType.UDP)
            LIBRARY.nice_agent_attach_recv(hash(agent), self._stream, component, None, self._callback, None)
        if not agent.gather_candidates(self._stream):
            raise RuntimeError("libnice cannot gather")

    def credentials(self) -> dict[str, str]:
        _, ufrag, pwd = self._agent.get_local_credentials(self._stream)
        return {"ufrag": ufrag, "pwd": pwd}

    def obey(self, command, answer) -> None:
        """Do as told; `answer` is called once, now or later."""
        match command:
            case {"candidate": number}:
                self._when(lambda: self._candidate(number), answer)
            case {"remote": remote}:
                answer(self._learn(**remote))
            case {"until": state}:
                self._when(lambda: [self._states] if self._is(state) else [], answer)
            case {"selected": component}:
                answer(self._selected.get(component))
            case {"controlling": None}:
                answer(self._agent.props.controlling_mode)
            case {"send": datagrams, "component": component}:
                for data in map(bytes.fromhex, datagrams):
                    LIBRARY.nice_agent_send(hash(self._agent), self._stream, component, len(data), data)
                answer(datagrams)
            case {"receive": count, "component": component}:
                received = self._received[component]
                self._when(lambda: [received] if len(received) >= count else [], answer)
            case {"restart": None}:
                self._agent.restart()
                answer(self.credentials())

    def close(self, then) -> None:
        self._agent.close_async(lambda *_: then())

    def _learn(self, *, ufrag, pwd, candidates=(), end=False) -> None:
        if (ufrag, pwd) != self._remote:
            self._agent.set_remote_credentials(self._stream, ufrag, pwd)
            self._remote = (ufrag, pwd)
        for component in self._components:
            # Read from the text: the binding is wrong about where a candidate's fields lie.
            own = [line for line in candidates if int(line.split()[1]) == component]
            if own:
                parsed = [self._agent.parse_remote_candidate_sdp(self._stream, f"a={line}") for line in own]
                self._agent.set_remote_candidates(self._stream, component, parsed)
        if end:
            self._agent.peer_candidate_gathering_done(self._stream)

    def _candidate(self, number):
        if number < len(self._candidates):
            return [self._candidates[number]]
        return [None] if self._gathered else []

    def _is(self, state) -> bool:
        last = [states[-1] for states in self._states.values()]
        return "failed" in last or set(last) == {state}

    def _when(self, read, answer) -> None:
        """Answer with what `read` has in its list, as soon as there is something in it."""
        self._waiting.append((read, answer))
        self._look()

    def _look(self) -> None:
        waiting, self._waiting = self._waiting, []
        for read, answer in waiting:
            found = read()
            if found:
                answer(*found)
            else:
                self._waiting.append((read, answer))

    def _text(self, candidate) -> str:
        return self._agent.generate_local_candidate_sdp(candidate).removeprefix("a=")

    def _on_candidate(self, agent, candidate) -> None:
        self._candidates.append(self._text(candidate))
        self._look()

    def _on_gathered(self, agent, stream) -> None:
        self._gathered = True
        self._look()

    def _on_state(self, agent, stream, component, state) -> None:
        self._states[component].append(Nice.component_state_to_string(state))
        self._look()

    def _on_selected(self, agent, stream, component, local, remote) -> None:
        self._selected[component] = [self._text(local), self._text(remote)]

    def _on_data(self, agent, stream, component, length, data, _) -> None:
        self._received[component].append(ctypes.string_at(data, length).hex())
        self._look()


def main() -> None:
    loop = GLib.MainLoop()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # GLib logs to stdout
    peers = []

    def obey(command) -> None:
        def answer(result=None) -> None:
            print(json.dumps({"id": command["id"], "result": result}), file=answers, flush=True)

        if "open" in command:
            peers[:] = [Peer(**command["open"])]
            answer(peers[0].credentials())
        else:
            peers[0].obey(command, answer)

    def end() -> None:
        # Without this its allocations live on.
        if peers:
            peers[0].close(loop.quit)
        else:
            loop.quit()

    def read() -> None:
        for line in sys.stdin:
            GLib.idle_add(obey, json.loads(line))
        GLib.idle_add(end)

    threading.Thread(target=read, daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
