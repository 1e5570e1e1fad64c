from p2p.metrics.extension_rate import extension_rate
from p2p.projection import Projection


def test_escapes_are_what_is_missing_to_one():
    replies = [Projection("billing", extended=True)] * 3 + [Projection("billing", extended=False)]
    assert extension_rate(replies).value == 0.75
