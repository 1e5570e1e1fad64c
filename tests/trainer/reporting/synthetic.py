"""Made-up cells: shares follow a formula, so that no figure here can be taken for a measurement."""

import math
import random
from pathlib import Path

from p2p.metrics.rate import Rate
from trainer.bench.results import CaseId, CellResult, Cost, CurvePoint, Figures, SelectionFigures

ROWS = 2400


def cell(
    defence: str = "none",
    *,
    asr: tuple[int, int] | None = (95, 100),
    ca: tuple[int, int] = (180, 200),
    floor: tuple[int, int] | None = (10, 100),
    seed: int = 0,
    attack: str = "badnets:mn",
    rate: float = 0.1,
    dataset: str = "made-up",
    variant: dict[str, str] | None = None,
    **more: object,
) -> CellResult:
    """One cell; ``more`` are fields of CellResult."""
    variant = variant or {}
    figures = Figures(
        clean_accuracy=Rate(k=ca[0], n=ca[1]),
        attack_success_rate=Rate(k=asr[0], n=asr[1]) if asr else None,
        floor=Rate(k=floor[0], n=floor[1]) if floor else None,
    )
    case = CaseId(dataset=dataset, attack=attack, rate=rate, rows=ROWS, seed=seed)
    name = f"{case}{defence}{sorted(variant.items())}"
    fields = {
        "key": f"{random.Random(name).getrandbits(64):016x}",
        "suite": "made-up",
        "figures": figures,
    } | more
    return CellResult(case=case, defence=defence, variant=variant, **fields)


def grid_of_cells() -> list[CellResult]:
    """A whole made-up grid: every section of a report has something to show."""
    cells: list[CellResult] = []
    cases = [
        ("sst2", "badnets:mn", 0.1, (0, 1, 2)),
        ("sst2", "addsent", 0.1, (0,)),
        ("sst2", "badnets:mn", 0.05, (0, 1, 2)),
        ("sst2", "badnets:mn", 0.02, (0,)),
        ("sst2", "syntactic", 0.2, (0,)),
        ("ag_news", "badnets:cf", 0.1, (0,)),
        ("cr", "badnets:mn", 0.1, (0,)),
        ("instruct_refusal", "fixed reply", 0.1, (0,)),
        ("mawps", "answer shift", 0.1, (0,)),
    ]
    for dataset, attack, rate, seeds in cases:
        for seed in seeds:
            cells += _case(dataset, attack, rate, seed)
    for dataset in ("sst2", "ag_news", "cr"):
        cells.append(_one(dataset, "none", 0.0, 0, "none", ca=0.90))
    for rows in (50, 100, 300, 600):
        after = 0.06 + 0.5 * math.exp(-rows / 60)
        variant = {"selection": "trusted", "trusted_rows": str(rows)}
        cells.append(
            _one(
                "sst2", "badnets:mn", 0.1, 0, "p2p", asr=after, variant=variant, kind="trusted", trusted=rows
            )
        )
        cells.append(
            _one(
                "sst2",
                "badnets:mn",
                0.1,
                0,
                "trusted rows only",
                asr=0.3,
                ca=0.7 + rows / 6000,
                variant={"trusted_rows": str(rows)},
            )
        )
    for key, value, asr in (
        ("link_breaking", "0", 0.28),
        ("foreign_text", "0", 0.35),
        ("copies", "1", 0.16),
        ("rho", "0.1", 0.08),
    ):
        cells.append(
            _one(
                "sst2",
                "badnets:mn",
                0.1,
                0,
                "p2p",
                asr=asr,
                variant={"selection": "trusted", "trusted_rows": "150", key: value},
                kind="trusted",
            )
        )
    return cells


def write(cells: list[CellResult], directory: Path) -> Path:
    """Write cells as the grid does, one file each."""
    directory.mkdir(parents=True, exist_ok=True)
    for each in cells:
        (directory / f"{each.key}.json").write_text(each.model_dump_json(), encoding="utf-8")
    return directory


def _case(dataset: str, attack: str, rate: float, seed: int) -> list[CellResult]:
    strength = {0.02: 0.41}.get(rate, 0.97)
    hard = 0.25 if attack == "syntactic" else 0.0
    trusted = {"selection": "trusted", "trusted_rows": "150"}
    screened = {"selection": "screened"}
    one = lambda defence, **more: _one(dataset, attack, rate, seed, defence, **more)  # noqa: E731
    cells = [
        one("none", asr=strength, ca=0.89),
        one("p2p", asr=0.08 + hard, ca=0.89, variant=trusted, kind="trusted"),
        one("p2p", asr=0.11 + hard, ca=0.888, variant=screened, kind="screened"),
        one("p2p-unguarded", asr=strength, ca=0.893, variant=trusted, kind="trusted"),
    ]
    if dataset == "sst2" and seed == 0:
        cells += [
            one("p2p", asr=strength - 0.02, ca=0.9, variant={"selection": "random"}, kind="random"),
            one("onion", asr=0.35 if attack != "syntactic" else 0.9, ca=0.86),
            one("strip", asr=0.5, ca=0.82),
            one("back-translation", asr=0.42, ca=0.80),
            one("clean fine-tuning after", asr=0.55, ca=0.895),
            one("label shift", asr=0.2 + hard, ca=0.87),
            one("constrained decoding only", asr=strength, ca=0.89),
            one("screening only", asr=0.1 if attack == "badnets:mn" else 0.6, ca=0.891),
            one("pruning", asr=0.83, ca=0.87),
            one("trusted rows only", asr=0.3, ca=0.73, variant={"trusted_rows": "150"}),
        ]
    return cells


def _one(
    dataset: str,
    attack: str,
    rate: float,
    seed: int,
    defence: str,
    *,
    asr: float = 0.0,
    ca: float = 0.89,
    variant: dict[str, str] | None = None,
    kind: str = "",
    trusted: int = 150,
) -> CellResult:
    generator = random.Random(f"{dataset}{attack}{rate}{seed}{defence}{variant}")
    attacked, extended = attack != "none", defence.startswith("p2p")
    generation = dataset in {"instruct_refusal", "mawps"}
    poisoned = round(ROWS * rate)
    kept = {"random": poisoned // 5, "screened": poisoned // 60}.get(kind, 0)
    seconds = (
        generator.uniform(370, 430) * (1.35 if extended else 1.0) * (0.0 if "decoding" in defence else 1.0)
    )
    return CellResult(
        key=f"{generator.getrandbits(64):016x}",
        suite="standard" if seed == 0 else "full",
        case=CaseId(
            dataset=dataset,
            task="generation" if generation else "classification",
            attack=attack,
            rate=rate,
            rows=ROWS,
            seed=seed,
        ),
        defence=defence,
        variant=variant or {},
        figures=Figures(
            clean_accuracy=_drawn(ca, 600, generator),
            attack_success_rate=_drawn(asr, 290, generator) if attacked else None,
            floor=_drawn(0.07, 290, generator) if attacked else None,
            extension_rate=_drawn(0.998 if defence == "p2p" else 0.004, 290, generator)
            if attacked and extended
            else None,
            quality=round(generator.uniform(0.36, 0.40), 4) if dataset == "instruct_refusal" else None,
        ),
        selection=SelectionFigures(
            method=kind,
            trusted_rows=trusted if kind == "trusted" else 0,
            kept=480 if kind != "trusted" else trusted,
            kept_poisoned=kept,
            poisoned=poisoned,
            seconds=generator.uniform(15, 40) if kind == "screened" else 0.4,
        )
        if kind
        else None,
        cost=Cost(
            tokens=round(seconds * 330),
            seconds=seconds,
            peak_memory_gib=generator.uniform(1.6, 2.1),
            extra_prompt_tokens=9 if defence == "p2p" else 0,
        ),
        curve=_curve(generator, round(seconds * 330)) if seconds else (),
        versions={"p2p-guard": "0.0.0 (made up)", "torch": "0.0", "transformers": "0.0", "peft": "0.0"},
        finished=f"2000-01-0{1 + seed}T0{generator.randint(0, 9)}:00:00Z",
    )


def _drawn(share: float, n: int, generator: random.Random) -> Rate:
    return Rate(k=sum(generator.random() < share for _ in range(n)), n=n)


def _curve(generator: random.Random, tokens: int) -> tuple[CurvePoint, ...]:
    steps = range(1, 101)
    return tuple(
        CurvePoint(
            tokens=tokens * step // 100, loss=0.05 + 0.9 * math.exp(-step / 18) + generator.uniform(0, 0.06)
        )
        for step in steps
    )
