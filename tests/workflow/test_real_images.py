"""The chain on real 2D images, shortened: LMCORE_REAL_DATA names their folder."""

from pathlib import Path

import pytest
from projects import read_table
from real_data import real_data

pytestmark = pytest.mark.workflow

CONFIG = """
run: [real]
experiments:
  real:
    population: {{table: {table}{more}}}
    training: {{pairs: {pairs}, validate_every: {pairs}, batch: 8, threads: 1}}
    redundancy: {{retain: 10}}
    analyses: {analyses}
"""


def chain(project, table: Path, pairs: int, more: str = "", analyses: str = "{}"):
    """Run one experiment on a real table; its numbers by name."""
    content = CONFIG.format(table=table, pairs=pairs, more=more, analyses=analyses)
    (project.folder / "real.yaml").write_text(content)
    result = project.run("all", config="real.yaml")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    rows = read_table(project.folder / "results/real/numbers.csv")
    return {row["name"]: float(row["value"]) for row in rows}


def test_diatoms_with_their_genus(project):
    numbers = chain(
        project,
        real_data("diatoms_4genus/subjects.csv"),
        10000,
        ", class: genus",
        "{clustering: {}, classification: {repeats: 1}}",
    )
    assert numbers["majority_accuracy"] == pytest.approx(350 / 971, abs=1e-6)
    assert numbers["registration_loss_ratio"] < 0.95
    assert numbers["cv_accuracy"] > numbers["majority_accuracy"] + 0.15


def test_fly_wings_come_back_in_their_own_pixels(project):
    table = real_data("fly_wings/subjects.csv")
    numbers = chain(project, table, 8000)
    assert numbers["registration_loss_ratio"] < 1
    rows = read_table(project.folder / "results/real/landmarks/all.csv")
    assert {row["subject"] for row in rows} == {row["subject"] for row in read_table(table)}
    # 632 x 480 pixels fit into 96 x 128 as 96 x 126, with one column of padding on either side
    for row in rows[::50]:
        x, y = float(row["i"]) - 1, float(row["j"])
        assert float(row["pixel_x"]) == pytest.approx((x + 0.5) * 632 / 126 - 0.5, abs=1e-4)
        assert float(row["pixel_y"]) == pytest.approx((y + 0.5) * 480 / 96 - 0.5, abs=1e-4)
