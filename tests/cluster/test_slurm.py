"""The shipped profile on a real Slurm: its jobs, what it does when one is cut, and the results."""

import re

TRAINING = "rule_train_encoder_wildcards_toy"


def states(jobs):
    return [job["JobState"] for job in jobs]


def test_the_small_configuration_runs_to_its_report(finished):
    assert finished.codes["main"] == 0, finished.main.read("output.txt")[-5000:]
    report = finished.main.read("results/report.html")
    assert "results/toy/figures/landmarks.png" in report
    assert "registration_loss_ratio" in finished.main.read("results/summary.md")


def test_training_gets_the_gpu_and_its_partition_and_nothing_else_does(finished):
    trainings = finished.of(TRAINING)
    assert len(trainings) == 4  # toy, cut twice, on_gpu
    for job in finished.jobs:
        on_gpu = job["Partition"] == "accelerated", job.get("TresPerJob") == "gres:gpu:1"
        assert on_gpu == (job in trainings,) * 2, job


def test_the_configuration_asks_for_the_gpu_and_a_job_without_one_says_so(finished):
    """`training.gpus: 1`; the GPU that Slurm gives here is /dev/null."""
    assert states(finished.of(f"{TRAINING}_variants_on_gpu$")) == ["FAILED"]
    assert finished.codes["gpu"] == 1
    log = finished.main.read("results/logs/toy/variants/on_gpu/train_encoder.log")
    assert log.startswith("error: training.gpus is 1, but no CUDA device is visible here")


def test_a_cancelled_training_is_resubmitted_and_goes_on_from_its_checkpoint(finished):
    first, second = finished.of(f"{TRAINING}_variants_cut$")
    assert states([first, second]) == ["CANCELLED", "COMPLETED"]
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("8000M", "16000M")
    assert (first["TimeLimit"], second["TimeLimit"]) == ("1-00:00:00", "2-00:00:00")
    log = finished.main.read("results/logs/toy/variants/cut/train_encoder.log")
    pairs = int(re.search(r"goes on after ([\d,]+) pairs", log)[1].replace(",", ""))
    assert 0 < pairs < 20_000
    assert not (finished.main.folder / "results/toy/variants/cut/model/checkpoint.pt").exists()


def test_it_ends_with_the_landmarks_of_a_training_never_cut(finished):
    assert states(finished.of(f"{TRAINING}$")) == ["COMPLETED"]
    log = finished.main.read("results/logs/toy/train_encoder.log")
    assert "goes on after" not in log
    for name in ("model/history.csv", "landmarks/all.csv", "landmarks/retained.csv"):
        cut = finished.main.read(f"results/toy/variants/cut/{name}")
        assert cut == finished.main.read(f"results/toy/{name}")
        assert cut.count("\n") > 10


def test_a_job_over_its_runtime_is_retried_with_more(finished):
    first, second = finished.of("rule_take_time")
    assert states([first, second]) == ["TIMEOUT", "COMPLETED"]
    assert (first["TimeLimit"], second["TimeLimit"]) == ("00:01:00", "00:02:00")
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("100M", "200M")
    assert finished.codes["slow"] == 0


def test_small_jobs_share_a_submission(finished):
    (figures,) = finished.of("plot_(?!schedule)")  # which is with the summary
    for name in ("population", "training", "landmarks", "registration", "importance"):
        assert f"plot_{name}" in figures["Comment"]
    assert len(list(finished.main.folder.glob("results/toy/**/figures/*.png"))) == 5 + 4
    assert len(finished.of("select_landmarks.*export_landmarks|export_landmarks.*select")) == 2


def test_jobs_have_the_sites_account_and_are_not_requeued_by_slurm(finished):
    assert {job["Account"] for job in finished.jobs} == {"lab"}
    assert {job["Requeue"] for job in finished.jobs} == {"0"}


def test_everything_listened_on_loopback_alone(finished):
    assert finished.listeners == {"127.0.0.1"}
