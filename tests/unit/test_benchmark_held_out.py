"""Which scans a benchmark of few holds out, and what it makes of their pairs' scores."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import held_out
from lmcore.discovery.settings import TrainingSettings
from lmcore.errors import InputError

SETTINGS = TrainingSettings(landmarks=4, regularization=0.01)


def population(segmented):
    segmented = np.array(segmented, dtype=bool)
    subjects = [f"s{k}" for k in range(len(segmented))]
    return SimpleNamespace(segmented=segmented, subjects=subjects, shape=(8, 9, 10))


@pytest.fixture
def seen(monkeypatch):
    """(seed, train, held out) of every training; a pair gains 10 target + source + seed / 10."""
    calls = []

    def score(population, train, held, settings, seed):
        calls.append((seed, train, held))
        index = np.array(held, dtype=float)
        gain = 10 * index[:, None] + index + seed / 10
        return {"dice_before": np.full_like(gain, 0.5), "dice_gain": gain}

    monkeypatch.setattr(held_out, "score", score)
    return calls


def test_each_segmented_scan_is_held_out_once_a_repeat(seen):
    segmented = [True, True, False, True, True, True, True]
    found = held_out.measure(population(segmented), SETTINGS, folds=3, seeds=(4, 5))
    assert [seed for seed, *_ in seen] == [4] * 3 + [5] * 3
    for repeat in (seen[:3], seen[3:]):
        assert sorted(k for *_, held in repeat for k in held) == [0, 1, 3, 4, 5, 6]
        for _, train, held in repeat:
            assert sorted(train + held) == list(range(7))
    assert {tuple(held) for *_, held in seen[:3]} != {tuple(held) for *_, held in seen[3:]}
    assert (found["folds"], found["repeats"], found["subjects"]) == (3, 2, 6)


def test_a_pair_counts_once_with_its_mean_over_repeats(seen):
    n, seeds = 6, range(1, 9)
    found = held_out.measure(population([True] * n), SETTINGS, folds=2, seeds=seeds)
    gains = {}
    for seed, _, held in seen:
        for target in held:
            for source in set(held) - {target}:
                gains.setdefault((target, source), []).append(10 * target + source + seed / 10)
    means = {pair: np.mean(values) for pair, values in gains.items()}
    assert max(map(len, gains.values())) > 1
    assert found["dice_gain"] == pytest.approx(np.mean(list(means.values())))
    of_subject = [np.mean([v for pair, v in means.items() if k in pair]) for k in range(n)]
    np.testing.assert_allclose(found["dice_gain_of_subjects"], of_subject, atol=5e-4)
    low, high = found["intervals"]["dice_gain"]
    assert low < found["dice_gain"] < high
    assert found["intervals"]["dice_before"] == (0.5, 0.5)


def test_too_few_segmentations_are_refused(seen):
    with pytest.raises(InputError, match="3 subjects with segmentations make no 2 folds"):
        held_out.measure(population([True, True, True, False]), SETTINGS, folds=2, seeds=(1,))
    assert not seen


def test_a_wrong_setting_is_one_line_and_settings_add_up(tmp_path):
    table = f"--table={tmp_path / 'none.csv'}"
    options = held_out.parse([table, "--set", "a=1", "b=2", "--set", "c=3"])
    assert options.set == ["a=1", "b=2", "c=3"]
    assert held_out.parse([table]).set == []  # the list of before was not the default
    with pytest.raises(SystemExit, match=r"^error: .*training\.bath"):
        held_out.main([table, "--set", "training.bath=8"])
