"""`IceChannelBase`: one component of a connection."""

from sansice.ice import IceChannelBase


class Ice:
    """Keeps and tells what it was asked for."""

    def __getattr__(self, name):
        def asked(*args, **kwargs):
            self.last = name, args, kwargs
            return self.last

        return asked


WHERE = {"stream": 1, "component": 2}


def test_a_channel_asks_its_connection_for_its_component():
    ice = Ice()
    channel = IceChannelBase(ice, 1, 2)
    assert (channel.stream, channel.component) == (1, 2)
    assert channel.writable == ("is_writable", (), WHERE)
    assert channel.selected_pair == ("selected_pair_of", (), WHERE)
    channel.send_nowait(b"data")
    assert ice.last == ("send_nowait", (b"data",), WHERE)
    assert channel.receive_nowait() == ("receive_nowait", (), WHERE)
    assert channel.detach() == ("detach", (), WHERE)


def test_a_channel_says_whose_it_is():
    assert repr(IceChannelBase(Ice(), 1, 2)) == "<IceChannelBase of stream 1, component 2>"
