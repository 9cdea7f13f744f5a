import fcntl
import logging
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from threadpoolctl import threadpool_info

from lmcore import progress
from lmcore.errors import InputError
from lmcore.job import job
from lmcore.progress import Progress, clock

logger = logging.getLogger("lmcore")


@pytest.fixture
def snakemake(tmp_path, monkeypatch):
    monkeypatch.setattr(logger, "propagate", True)  # restores what a job sets for its process
    path = tmp_path / "logs" / "toy" / "rule.log"
    params = SimpleNamespace(threads=1)
    return SimpleNamespace(log=[str(path)], rule="some_rule", params=params, threads=3)


@pytest.fixture
def log(snakemake):
    def read():
        with open(snakemake.log[0]) as file:
            return file.read()

    return read


def test_progress_goes_to_the_log_and_the_terminal(snakemake, log, capsys):
    with job(snakemake):
        logger.info("half done")
    assert log() == "half done\n"
    assert capsys.readouterr().err == "half done\n"
    logger.info("after the job")
    assert "after" not in log()


def test_the_last_runs_log_is_replaced(snakemake, log):
    for text in ("a long line of the first run", "second"):
        with job(snakemake):
            logger.info(text)
    assert log() == "second\n"


def test_an_input_error_is_one_line_at_the_end(snakemake, log):
    def work():
        logger.info("started")
        raise InputError("subject a1: the image\nis gone;  give another")

    with pytest.raises(SystemExit) as ended, job(snakemake):
        work()
    assert ended.value.code == 1
    assert log() == "started\nerror: subject a1: the image is gone; give another\n"
    logger.info("after the job")
    assert "after" not in log()


def test_any_other_error_keeps_its_traceback(snakemake, log):
    with pytest.raises(SystemExit) as ended, job(snakemake):
        raise KeyError("spline")
    assert ended.value.code == 1
    assert log().startswith("Traceback (most recent call last):\n")
    assert log().endswith("KeyError: 'spline'\n")
    assert "test_job.py" in log()
    assert "error: " not in log()


def test_threads_are_the_configurations(snakemake):
    before = torch.get_num_threads()
    try:
        for chosen, expected in ((1, 1), (2, 2), (None, 3)):
            snakemake.params.threads = chosen
            with job(snakemake):
                assert torch.get_num_threads() == expected
                blas = [pool["num_threads"] for pool in threadpool_info() if pool["num_threads"]]
                assert set(blas) == {expected}
        del snakemake.params.threads  # a rule without the setting
        with job(snakemake):
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_waits_for_the_job_of_a_killed_run(snakemake, log, capsys, tmp_path):
    with job(snakemake):
        logger.info("the first run")
    said = []

    def second():
        with job(snakemake):
            logger.info("the second run")

    path = Path(snakemake.log[0])
    path.unlink()  # as Snakemake does before a job: the lock must not go with it
    with path.with_name(f".{path.name}.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        thread = threading.Thread(target=second)
        thread.start()
        deadline = time.monotonic() + 10
        while "waiting" not in "".join(said) and time.monotonic() < deadline:
            said.append(capsys.readouterr().err)
            time.sleep(0.01)
        assert not path.exists()
        assert thread.is_alive()
    thread.join(10)
    waiting = "some_rule: waiting for the same job of an interrupted run to end\n"
    assert "".join(said).endswith(waiting)
    assert log() == "the second run\n"


class TestProgress:
    @pytest.fixture
    def passes(self, monkeypatch):
        now = [100.0]
        monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

        def wait(seconds):
            now[0] += seconds

        return wait

    def test_a_line_every_few_seconds(self, passes, caplog):
        caplog.set_level(logging.INFO, logger="lmcore")
        lines = Progress("training toy", 12_000, "pairs")
        lines.update(0)
        for _ in range(5):
            passes(2)
            lines.update(2000 * (len(caplog.messages) + 1), loss=0.123456)
        assert caplog.messages == [
            "training toy: 2,000 of 12,000 pairs, loss 0.1235, 333 pairs/s, 0:30 left"
        ]

    def test_a_resumed_loop_knows_its_own_speed(self, passes, caplog):
        caplog.set_level(logging.INFO, logger="lmcore")
        lines = Progress("training", 20_000, "pairs")
        passes(50)  # reading the checkpoint
        lines.update(10_000)
        passes(10)
        lines.update(10_100)
        assert caplog.messages[-1].endswith("10 pairs/s, 16:30 left")

    def test_clock(self):
        assert [clock(s) for s in (0, 59.4, 61, 3599, 3600, 36_061)] == [
            "0:00",
            "0:59",
            "1:01",
            "59:59",
            "1:00:00",
            "10:01:01",
        ]
