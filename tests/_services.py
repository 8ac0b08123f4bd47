"""Services without a runtime: a driver that does by hand what a server wants, and a queue that nobody waits for."""

from sansice.driver import EventQueueBase
from sansice.machine import Event, OpenSocket, SocketError, SocketErrorKind


class Queue(EventQueueBase):
    """A queue that nobody waits for."""

    def _wake(self):
        pass


class HandDriver:
    """Opens what a server wants to listen at, or fails to, and delivers its events."""

    lost = {"ENETUNREACH": 1}

    def __init__(self, machine, deliver):
        self.machine, self.deliver = machine, deliver
        self.fails = False

    def call(self, command, *args, **kwargs):
        result = command(*args, now=0.0, **kwargs)
        while outputs := self.machine.take_outputs():
            for output in outputs:
                if isinstance(output, Event):
                    self.deliver(output)
                elif isinstance(output, OpenSocket) and self.fails:
                    error = SocketError(SocketErrorKind.ADDRESS_IN_USE, "Address already in use" if output.bind.port else "")
                    self.machine.handle_socket_failed(output.socket, error, now=0.0)
                elif isinstance(output, OpenSocket):
                    self.machine.handle_socket_opened(output.socket, output.bind, now=0.0)
        return result
