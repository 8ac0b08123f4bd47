from sansice.simulation import Fate
from sansice.simulation._records import _fates
from sansice.simulation._records._fates import is_loss, reason


def test_every_loss_has_words_that_no_other_has():
    losses = [fate for fate in Fate if is_loss(fate)]
    assert Fate.FILTERED in losses and Fate.DELIVERED not in losses and Fate.DUPLICATED not in losses
    assert set(_fates._LOSSES) == set(losses)
    assert len({reason(fate) for fate in losses}) == len(losses)


def test_fate_without_short_words_is_told_by_its_own():
    assert reason(Fate.DELIVERED) == "reached a socket"
