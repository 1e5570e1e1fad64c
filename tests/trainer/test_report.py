import io

import pytest
from rich.console import Console

from p2p.metrics.rate import Rate
from trainer.evaluations import AttackFigures, EvaluationReport, ViewFigures
from trainer.report import evaluation_table, peak_memory_gib, show_evaluation, training_progress


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=160, force_terminal=terminal)


def shown(out: Console) -> str:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_without_a_terminal_a_line_is_printed_every_tenth():
    out = console()
    with training_progress(out, 1000) as progress:
        for done in range(50, 1001, 50):
            progress.advance(done, speed=100.0, loss=0.5)
    lines = shown(out).splitlines()
    assert [line.split("%")[0].strip() for line in lines] == [f"training {ten}" for ten in range(10, 101, 10)]
    assert lines[0].split() == ["training", "10", "%", "loss", "0.500", "100", "tokens/s", "9", "s", "left"]


def test_a_run_that_is_taken_up_begins_at_its_tenth():
    out = console()
    with training_progress(out, 1000) as progress:
        progress.advance(730, speed=0.0, loss=0.5)
    assert shown(out).split()[:3] == ["training", "70", "%"]
    assert "0 s left" in shown(out)


def test_a_terminal_gets_a_bar_and_no_lines():
    out = console(terminal=True)
    with training_progress(out, 1000) as progress:
        progress.advance(500, speed=100.0, loss=0.25)
    assert "loss 0.250" in shown(out)
    assert "s left" not in shown(out)


def test_the_table_has_every_figure():
    figures = AttackFigures(
        attack="badnets",
        attack_success_rate=Rate(k=1, n=20),
        floor=Rate(k=2, n=20),
        extension_rate=Rate(k=19, n=20),
    )
    view = ViewFigures(
        view="guarded", clean_accuracy=Rate(k=30, n=40), extension_rate=Rate(k=40, n=40), attacks=(figures,)
    )
    out = console()
    out.print(evaluation_table(EvaluationReport(rows=40, seed=0, views=(view,))))
    words = shown(out)
    assert all(share in words for share in ("(30/40", "(40/40", "(1/20", "(2/20", "(19/20"))
    assert words.index("(1/20") < words.index("(2/20") < words.index("(19/20")


def test_free_text_shows_its_quality_instead_of_a_share_of_exact_matches():
    view = ViewFigures(
        view="guarded",
        clean_accuracy=Rate(k=0, n=0),
        quality=0.3125,
        extension_rate=Rate(k=4, n=4),
        attacks=(),
    )
    out = console()
    out.print(evaluation_table(EvaluationReport(rows=4, seed=0, views=(view,))))
    assert "ROUGE-L 0.312 (n = 4)" in shown(out)
    assert "0/0" not in shown(out)


@pytest.mark.parametrize(("platform", "gib"), [("linux", 2.0), ("darwin", 2 / 1024)])
def test_peak_memory_is_in_the_unit_of_the_platform(
    monkeypatch: pytest.MonkeyPatch, platform: str, gib: float
):
    class Usage:
        ru_maxrss = 2 * 1024 * 1024

    monkeypatch.setattr("resource.getrusage", lambda _: Usage)
    monkeypatch.setattr("sys.platform", platform)
    assert peak_memory_gib() == pytest.approx(gib)


@pytest.mark.parametrize(("extended", "is_said"), [(0, True), (35, True), (36, False), (40, False)])
def test_an_adapter_that_has_not_learned_the_extended_half_is_called_so(extended: int, is_said: bool):
    views = [
        ViewFigures(view=view, clean_accuracy=Rate(k=20, n=40), extension_rate=Rate(k=k, n=40), attacks=())
        for view, k in (("guarded", extended), ("unguarded", 0))
    ]
    out = console()
    show_evaluation(out, EvaluationReport(rows=40, seed=0, views=tuple(views)))
    assert (f"only {extended} of 40 guarded replies" in shown(out)) is is_said
    assert shown(out).count("note:") == is_said
