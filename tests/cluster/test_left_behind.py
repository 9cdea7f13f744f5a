"""Settings in /etc/slurm: a cluster's own are never touched, those of a killed test are no bar."""

import os
import subprocess

import pytest
import slurm


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Programs of a Slurm and the right to start them, and an empty folder of settings."""
    monkeypatch.setattr(slurm, "SETTINGS", tmp_path / "etc")
    monkeypatch.setattr(slurm, "PROGRAMS", ("sh",))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc/slurm.conf"


def link_to(settings, folder, process: int):
    folder.mkdir()
    (folder / "slurm.conf").touch()
    (folder / "slurmctld.pid").write_text(f"{process}\n")
    settings.symlink_to(folder / "slurm.conf")


def test_without_settings_a_slurm_is_started(settings):
    assert slurm.why_not() is None


def test_a_clusters_own_settings_are_left_alone(settings, tmp_path):
    settings.touch()
    assert "a cluster's own settings" in slurm.why_not()
    settings.unlink()
    link_to(settings, tmp_path / "shared", 0)
    assert "a cluster's own settings" in slurm.why_not()


def test_settings_of_a_killed_test_are_no_clusters(settings, tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    link_to(settings, tmp_path / "slurm-killed", ended.pid)
    assert slurm.why_not() is None


def test_another_test_that_runs_is_left_alone(settings, tmp_path):
    link_to(settings, tmp_path / "slurm-running", os.getpid())
    assert "a cluster's own settings" in slurm.why_not()
