import subprocess
import sys
from types import SimpleNamespace

import pytest

from trainer.encoding import EncodedRow
from trainer.errors import ConfigError
from trainer.processes import Processes, join_processes
from trainer.weighted_loss import Weighing

ROWS = [EncodedRow(str(at), tuple(range(at + 3)), 2) for at in range(7)]


@pytest.mark.parametrize("wanted", [1, 2, 3, 9])
@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_the_parts_of_all_processes_are_the_rows_of_the_step(size: int, wanted: int):
    parts = [Processes(rank, size).parts(ROWS, wanted) for rank in range(size)]
    assert len({len(mine) for mine in parts}) == 1
    real = [part for mine in parts for part in mine if part.weight]
    assert sorted(row for part in real for row in part.rows) == sorted(ROWS)
    assert sum(part.weight for part in real) == pytest.approx(1)


def test_a_part_weighs_what_it_has_of_the_answer_tokens():
    # Answers take 1, 2, 3, .. 7 tokens, 28 in all.
    parts = Processes(1, 2).parts(ROWS, 1)
    assert [row.id for row in parts[0].rows] == ["1", "3", "5"]
    assert parts[0].weight == pytest.approx((2 + 4 + 6) / 28)


def test_a_part_weighs_what_its_halves_do():
    # Answers take 1, 2, .. 7 tokens; those of the last two rows count four times: 1 + .. + 5 + 4 * (6 + 7) = 67.
    rows = [row._replace(extended=at >= 5) for at, row in enumerate(ROWS)]
    (part,) = Processes(1, 2).parts(rows, 1, Weighing(extended=4).of_row)
    assert part.weight == pytest.approx((2 + 4 + 4 * 6) / 67)


def test_a_process_without_rows_goes_through_the_motions():
    (part,) = Processes(2, 3).parts(ROWS[:2], 1)
    assert (len(part.rows), part.weight) == (1, 0)


def test_a_process_alone_has_nothing_to_exchange():
    alone = Processes()
    assert alone.is_first
    assert alone.add_up([], 0.5) == 0.5
    assert alone.any_of(*[True, False]) == [True, False]
    assert alone.from_first("key") == "key"
    assert alone.from_all("key") == ["key"]


def test_weights_that_one_process_alone_would_load_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "accelerate.PartialState", lambda **_: SimpleNamespace(process_index=0, num_processes=2)
    )
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    with pytest.raises(ConfigError, match="fsdp_cpu_ram_efficient_loading"):
        join_processes()


def test_one_of_several_ends_at_once_and_has_said_what_it_said():
    code = "from trainer.processes import Processes; print('told', end=''); Processes(0, {}).end(); print(' twice', end='')"
    said = [
        subprocess.run([sys.executable, "-c", code.format(size)], capture_output=True, text=True, check=True)
        for size in (1, 2)
    ]
    assert [one.stdout for one in said] == ["told twice", "told"]
