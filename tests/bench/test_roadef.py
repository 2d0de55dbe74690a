"""Instances of the ROADEF/EURO challenge 2012 are read as they are meant, and measured."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bench.packing.__main__ import main
from bench.packing.instances import read_problem
from bench.packing.roadef import measure

# Two resources, the first transient; two machines; two services, the second depends on the first; three processes; one balance.
_MODEL = """2
1 100
0 10
2
0 0 30 400 16 80 0 1
0 1 10 240 8 160 1 0
2
2 0
1 1 0
3
0 12 10 1000
0 10 20 100
1 6 200 1
1
0 1 20
10
1 10 100
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    model, assignment = tmp_path / "model.txt", tmp_path / "assignment.txt"
    model.write_text(_MODEL)
    assignment.write_text("0 1 0\n")
    return model, assignment


def test_every_number_of_a_model_has_its_place(files: tuple[Path, Path]) -> None:
    problem = read_problem(*files)
    assert problem.initial.tolist() == [0, 1, 0]
    assert problem.need.tolist() == [[12, 10], [10, 20], [6, 200]]
    assert problem.service.tolist() == [0, 0, 1]
    assert problem.process_cost.tolist() == [1000, 100, 1]
    assert problem.capacity.tolist() == [[30, 400], [10, 240]]
    assert problem.safety.tolist() == [[16, 80], [8, 160]]
    assert problem.location.tolist() == [0, 1]
    assert problem.neighbourhood.tolist() == [0, 0]
    assert problem.machine_cost.tolist() == [[0, 1], [1, 0]]
    assert problem.transient.tolist() == [True, False]
    assert problem.load_weight.tolist() == [100, 10]
    assert problem.spread.tolist() == [2, 1]
    assert problem.depends.tolist() == [[1, 0]]
    assert problem.balance.tolist() == [[0, 1, 20, 10]]
    assert (problem.process_weight, problem.service_weight, problem.machine_weight) == (1, 10, 100)


def test_a_gzipped_model_is_the_same(files: tuple[Path, Path], tmp_path: Path) -> None:
    packed = tmp_path / "model.txt.gz"
    packed.write_bytes(gzip.compress(_MODEL.encode()))
    for plain, other in zip(read_problem(*files), read_problem(packed, files[1]), strict=True):
        assert (plain == other) if isinstance(plain, int) else (plain == other).all()


@pytest.mark.parametrize("model", [_MODEL + "1\n", _MODEL[:-10]])
def test_a_model_that_is_too_long_or_too_short_is_refused(files: tuple[Path, Path], model: str) -> None:
    files[0].write_text(model)
    with pytest.raises(ValueError, match="model"):
        read_problem(*files)


def test_an_assignment_of_too_few_or_on_a_full_machine_is_refused(files: tuple[Path, Path]) -> None:
    files[1].write_text("0 1")
    with pytest.raises(ValueError, match="2 machines for 3 processes"):
        read_problem(*files)
    files[1].write_text("0 1 1")
    with pytest.raises(ValueError, match="machine 1: too much of resource 0"):
        measure(*files, 0.1, None)


def test_what_is_measured_is_cost_and_bound_and_the_assignment_is_kept(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    found = measure(*files, 0.1, out, seed=1)
    # Use is (18, 210) and (10, 20): over by 2 and 2 of the first, 130 of the second, and 50 out of balance. Nothing can move.
    assert found == {"initial_cost": 2200.0, "cost": 2200.0, "lower_bound": 400.0}
    assert out.read_text() == "0 1 0\n"


def test_the_command_shows_and_keeps_the_numbers(files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "numbers.json"
    assert main(["roadef", "--model", str(files[0]), "--assignment", str(files[1]), "--time-s", "0.1", "--json", str(kept)]) == 0
    assert '"cost": 2200.0' in kept.read_text()
    assert "[lower_bound]" in capsys.readouterr().out
