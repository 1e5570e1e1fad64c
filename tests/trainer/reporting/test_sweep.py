from tests.trainer.reporting.synthetic import cell
from trainer.reporting.grid import make_grid
from trainer.reporting.sweeps import poison_rate_sweeps, takeaway, trusted_rows_sweeps
from trainer.reporting.tables.sweeps import sweeps_table


def test_one_poison_rate_makes_no_line():
    assert not poison_rate_sweeps(make_grid([cell(), cell("p2p")]))


def test_lines_run_over_the_rates_in_order_and_single_points_are_left_out():
    cells = [cell(rate=rate, asr=(k, 100)) for rate, k in [(0.1, 95), (0.02, 40)]]
    (sweep,) = poison_rate_sweeps(make_grid([*cells, cell("p2p", rate=0.1, asr=(5, 100))]))
    (line,) = sweep.series
    assert [(point.x, point.row.attack_success_rate.k) for point in line.points] == [(0.02, 40), (0.1, 95)]


def test_the_sentence_gives_both_ends_of_the_guarded_line():
    cells = [
        cell("p2p", asr=(k, 100), variant={"selection": "trusted", "trusted_rows": rows})
        for rows, k in [("600", 5), ("50", 22)]
    ]
    sweeps = trusted_rows_sweeps(make_grid([cell(), *cells]))
    said = takeaway(sweeps, "trusted rows")
    assert "has ASR 0.220 at 50 and 0.050 at 600 trusted rows" in said


def test_each_point_has_a_row_with_its_figures():
    cells = [
        cell("p2p", asr=(k, 100), floor=(4, 100), variant={"selection": "trusted", "trusted_rows": rows})
        for rows, k in [("600", 5), ("50", 22)]
    ]
    table = sweeps_table("By number", "trusted rows", trusted_rows_sweeps(make_grid([cell(), *cells])))
    (group,) = table.groups
    assert group.title == "made-up, badnets:mn, 10 % of 2,400 rows"
    assert [[each.text for each in row.cells[:4]] for row in group.rows] == [
        ["P2P, trusted rows", "50", "0.220", "0.040"],
        ["", "600", "0.050", "0.040"],
    ]


def test_poison_rates_are_written_in_percent():
    cells = [cell(rate=rate, asr=(k, 100)) for rate, k in [(0.1, 95), (0.02, 40)]]
    (group,) = sweeps_table("By rate", "poisoned share", poison_rate_sweeps(make_grid(cells))).groups
    assert [row.cells[1].text for row in group.rows] == ["2 %", "10 %"]
