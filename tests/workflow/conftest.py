"""A copy of the project to run Snakemake in, so that tests never touch one's own results."""

import pytest
from projects import Project, write_images, write_points, write_scans


@pytest.fixture
def project(tmp_path):
    """A fresh copy without results."""
    write_images(tmp_path / "my_images")
    write_scans(tmp_path / "my_scans")
    write_points(tmp_path / "my_points")
    return Project(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A copy in which the small configuration ran to its report."""
    folder = tmp_path_factory.mktemp("finished")
    write_images(folder / "my_images")
    write_scans(folder / "my_scans")
    project = Project(folder)
    result = project.run("--report", "results/report.html", "--report-after-run")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-6000:]
    return project
