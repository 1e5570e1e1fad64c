import pytest

from tests.trainer.reporting.synthetic import cell
from trainer.bench.results import Cost, CurvePoint
from trainer.reporting.charts.curves import thinned
from trainer.reporting.costs import costs
from trainer.reporting.grid import make_grid


def test_tokens_are_compared_within_one_case_and_seed():
    cells = [
        cell(seed=0, cost=Cost(tokens=10, seconds=100)),
        cell(seed=1, cost=Cost(tokens=20, seconds=200)),
        cell("p2p", seed=0, cost=Cost(tokens=15, seconds=150, extra_prompt_tokens=7)),
        cell("p2p", seed=1, cost=Cost(tokens=26, seconds=260, extra_prompt_tokens=7)),
        cell("p2p", seed=2, cost=Cost(tokens=14, seconds=999, extra_prompt_tokens=7)),
    ]
    plain, guarded = costs(make_grid(cells))
    assert plain.ratio == 1
    assert guarded.ratios == pytest.approx((1.5, 1.3))
    assert guarded.seconds == (260.0, 150.0, 999.0)
    assert guarded.extra_prompt_tokens == 7


def test_what_a_defence_counts_besides_is_a_median_over_the_cells_that_say():
    onion = [
        cell(
            "onion",
            seed=seed,
            cost=Cost(queries_per_request=12 + seed),
            details={"threshold": seed},
            asr=None,
        )
        for seed in (0, 1, 2)
    ]
    (entry,) = costs(make_grid([*onion, cell("onion", seed=3, asr=None)]))
    assert (entry.queries, entry.details) == (13, {"threshold": 1})


def test_a_defence_without_training_has_no_ratio():
    _, untrained = costs(make_grid([cell(cost=Cost(tokens=100)), cell("onion")]))
    assert untrained.ratio is None


def test_a_long_curve_is_thinned_to_means_weighted_by_tokens():
    curve = [
        CurvePoint(tokens=tokens, loss=loss) for tokens, loss in [(10, 4.0), (40, 2.0), (50, 1.0), (60, 3.0)]
    ]
    # (10 * 4 + 30 * 2) / 40 and (10 * 1 + 10 * 3) / 20
    assert [(point.tokens, point.loss) for point in thinned(curve, 2)] == [(40, 2.5), (60, 2.0)]


def test_a_short_curve_stays():
    curve = [CurvePoint(tokens=1, loss=1.0)]
    assert thinned(curve) == curve
