"""Random input for what reads foreign bytes. ``P2P_FUZZ_EXAMPLES`` sets how many cases each test tries, 100 by default.

A million in all, in fresh processes: sh scripts/fuzz.sh 50 1430
"""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("P2P_FUZZ_EXAMPLES", "100"))

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    # A long run would only fill the disk with cases that passed.
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
