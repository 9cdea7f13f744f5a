"""Spectral clustering, its score and its numbering; and the table of descriptors below it."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from lmcore.analysis.clustering import (
    adjusted_rand_index,
    cluster_subjects,
    local_affinity,
    number_clusters,
    principal_components,
    spectral_clusters,
)
from lmcore.analysis.descriptors import read_descriptors
from lmcore.analysis.intervals import resampling_weights
from lmcore.analysis.numbers import read_numbers
from lmcore.errors import InputError
from lmcore.points.landmarks import landmark_table

CLASSES = ["willow", "ash", "oak"]  # not in sorted order


def write_population(folder, points, labels, splits=None):
    """landmarks.csv with the subjects in reverse, subjects.csv; points (N, M, 2)."""
    n, m = points.shape[:2]
    names = [f"{number:03d}" for number in range(n)]
    landmarks, subjects = folder / "landmarks.csv", folder / "subjects.csv"
    numbers = list(range(2, 2 + m))
    table = landmark_table(names[::-1], points[::-1], numbers, (9, 5), np.stack([np.eye(3)] * n))
    table.to_csv(landmarks, index=False)
    frame = pd.DataFrame({"subject": names, "image": "x.png", "split": "train", "kind": labels})
    frame["split"] = "train" if splits is None else splits
    frame.to_csv(subjects, index=False)
    return landmarks, subjects


def blobs(sizes, spread=0.02, seed=0):
    """Well separated groups of descriptors (N, 4, 2), and the group of each."""
    random = np.random.default_rng(seed)
    centres = random.uniform(-0.7, 0.7, (len(sizes), 4, 2))
    group = np.repeat(np.arange(len(sizes)), sizes)
    return centres[group] + random.normal(0, spread, (len(group), 4, 2)), group


def cluster(folder, points, labels, **options):
    landmarks, subjects = write_population(folder, points, labels)
    output, numbers = folder / "clustering.csv", folder / "clustering.numbers.csv"
    cluster_subjects(landmarks, subjects, "kind", output, numbers, seed=3, **options)
    return pd.read_csv(output, dtype={"subject": str}), read_numbers(numbers).set_index("name")


def test_separate_groups_are_found_and_numbered_as_the_sorted_classes(tmp_path):
    points, group = blobs([12, 20, 9])
    labels = np.array(CLASSES)[group]
    table, numbers = cluster(tmp_path, points, labels)
    expected = {"ash": 1, "oak": 2, "willow": 3}
    assert table["subject"].tolist() == [f"{number:03d}" for number in range(41)]
    assert table["class"].tolist() == labels.tolist()
    assert table["cluster"].tolist() == [expected[label] for label in labels]
    rand = numbers.loc["adjusted_rand_index"]
    assert (rand["value"], rand["ci_low"], rand["ci_high"]) == (1, 1, 1)
    assert rand["n"] == 41
    assert numbers.loc["adjusted_rand_index_permutation_p", "value"] == 1 / 1000


def test_labels_that_mean_nothing_score_about_zero(tmp_path):
    points, group = blobs([20, 20])
    labels = np.random.default_rng(1).permutation(group)
    _, numbers = cluster(tmp_path, points, labels)
    rand = numbers.loc["adjusted_rand_index"]
    assert rand["ci_low"] < 0 < rand["ci_high"]
    assert numbers.loc["adjusted_rand_index_permutation_p", "value"] > 0.05


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    points, group = blobs([12, 20], spread=0.5)
    texts = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        cluster(folder, points, group)
        files = ("clustering.csv", "clustering.numbers.csv")
        texts.append([(folder / file).read_bytes() for file in files])
    assert texts[0] == texts[1]


def test_more_clusters_than_classes_can_be_asked_for(tmp_path):
    points, group = blobs([15, 9, 12])
    table, _ = cluster(tmp_path, points, np.array(["a", "a", "b"])[group], clusters=3)
    assert table["cluster"].tolist() == [1] * 15 + [3] * 9 + [2] * 12


def test_too_many_clusters_is_an_error_of_the_user(tmp_path):
    points, group = blobs([3, 3])
    with pytest.raises(InputError, match="6 clusters of 6 subjects"):
        cluster(tmp_path, points, group, clusters=6)


@pytest.mark.parametrize("seed", range(5))
def test_adjusted_rand_index_agrees_with_sklearn(seed):
    random = np.random.default_rng(seed)
    classes = random.integers(0, 3, 40).astype(str)
    clusters = np.where(random.random(40) < 0.6, classes.astype(int), random.integers(5, 9, 40))
    expected = adjusted_rand_score(classes, clusters)
    assert adjusted_rand_index(classes, clusters) == pytest.approx(expected, abs=1e-12)


def test_resampled_index_counts_pairs_of_different_subjects_only():
    random = np.random.default_rng(4)
    classes, clusters = random.integers(0, 3, 12), random.integers(0, 2, 12)
    weights = resampling_weights(12, seed=5, resamples=3)
    for row, value in zip(weights, adjusted_rand_index(classes, clusters, weights), strict=True):
        both = same_class = same_cluster = total = 0.0
        for a, b in itertools.combinations(range(12), 2):
            pairs = row[a] * row[b]
            total += pairs
            same_class += pairs * (classes[a] == classes[b])
            same_cluster += pairs * (clusters[a] == clusters[b])
            both += pairs * (classes[a] == classes[b] and clusters[a] == clusters[b])
        expected = same_class * same_cluster / total
        reference = (both - expected) / ((same_class + same_cluster) / 2 - expected)
        assert value == pytest.approx(reference, abs=1e-12)


def test_resampling_does_not_move_the_index():
    random = np.random.default_rng(6)
    classes, clusters = random.integers(0, 4, 30), random.integers(0, 4, 30)
    index = adjusted_rand_index(classes, clusters)
    weights = resampling_weights(30, seed=7, resamples=4000)
    resampled = adjusted_rand_index(classes, clusters, weights).mean()
    assert resampled == pytest.approx(index, abs=0.01)
    # what pairs of a subject with itself would add
    drawn = [np.repeat(np.arange(30), row.astype(int)) for row in weights[:300]]
    naive = np.mean([adjusted_rand_score(classes[d], clusters[d]) for d in drawn])
    assert naive > index + 0.02


def test_number_clusters_maximises_the_agreement():
    classes = np.array(list("bbbbaaac"))
    # cluster 7 is mostly b, cluster 0 is a alone, cluster 4 is c alone
    found = np.array([7, 7, 7, 0, 0, 0, 7, 4])
    assert number_clusters(found, classes).tolist() == [2, 2, 2, 1, 1, 1, 2, 3]


def test_number_clusters_leaves_the_number_of_an_unmatched_class_unused():
    classes = np.array(list("aabbcccc"))
    found = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    assert number_clusters(found, classes).tolist() == [1, 1, 3, 3, 3, 3, 3, 3]


def test_principal_components_of_a_line_have_a_fixed_sign():
    along = np.array([-2.0, 1.0, 4.0, 9.0])
    values = np.stack([-0.6 * along, 0.8 * along], axis=1) + 5
    scores, shares = principal_components(values, 2)
    # the largest loading, 0.8, is positive, so scores rise with `along`
    np.testing.assert_allclose(scores[:, 0], along - along.mean(), atol=1e-12)
    np.testing.assert_allclose(scores[:, 1], 0, atol=1e-12)
    np.testing.assert_allclose(shares, [1, 0], atol=1e-12)


def test_local_affinity_closed_form_with_doubles_and_a_far_group():
    values = np.array([[0.0], [0.0], [3.0], [1e9]])
    affinity = local_affinity(values, neighbour=1)
    # distances to the nearest: 0 (raised to the smallest other, 3), 0, 3, 1e9 - 3
    np.testing.assert_allclose(affinity[0, :3], [1, 1, np.exp(-1)])
    np.testing.assert_allclose(affinity[0, 3], 1e-9)
    np.testing.assert_array_equal(affinity, affinity.T)


def test_groups_that_are_infinitely_far_apart_are_still_one_graph():
    values = np.concatenate([np.random.default_rng(8).normal(c, 1, (15, 3)) for c in (0, 1e7)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = spectral_clusters(values, 2, seed=0)
    assert adjusted_rand_score(found, np.repeat([0, 1], 15)) == 1


def test_a_ring_around_a_blob_is_separated_where_k_means_fails():
    random = np.random.default_rng(9)
    angle = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    ring = 4 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    values = np.concatenate([random.normal(0, 0.4, (40, 2)), ring])
    found = spectral_clusters(values, 2, seed=0)
    assert adjusted_rand_score(found, np.repeat([0, 1], [40, 80])) == 1


def test_descriptors_follow_subjects_csv_whatever_the_order_of_the_landmarks(tmp_path):
    points, group = blobs([3, 2])
    data = read_descriptors(*write_population(tmp_path, points, group), "kind")
    np.testing.assert_allclose(data.values, points.reshape(5, 8))
    assert data.classes.tolist() == ["0", "0", "0", "1", "1"]


def test_subjects_without_a_label_are_left_out(tmp_path):
    points, _ = blobs([3, 2])
    files = write_population(tmp_path, points, ["b", "", "a", "a", ""])
    data = read_descriptors(*files, "kind")
    assert data.subjects.tolist() == ["000", "002", "003"]
    np.testing.assert_allclose(data.values, points[[0, 2, 3]].reshape(3, 8))
    assert data.class_names == ["a", "b"]


def test_a_class_may_be_called_na(tmp_path):
    points, group = blobs([3, 2])
    files = write_population(tmp_path, points, np.array(["NA", "null"])[group])
    assert read_descriptors(*files, "kind").class_names == ["NA", "null"]


def test_errors_of_the_descriptor_table_name_what_is_wrong(tmp_path):
    points, group = blobs([3, 2])
    landmarks, subjects = write_population(tmp_path, points, group)
    with pytest.raises(InputError, match=r"no class column 'genus'; label columns are: kind"):
        read_descriptors(landmarks, subjects, "genus")
    write_population(tmp_path, points, ["oak"] * 5)
    with pytest.raises(InputError, match="'kind' needs two classes or more, it has oak"):
        read_descriptors(landmarks, subjects, "kind")
    table = pd.read_csv(subjects, dtype=str)
    table[table["subject"] != "003"].to_csv(subjects, index=False)
    with pytest.raises(InputError, match=r"subjects.csv: no subject '003'"):
        read_descriptors(landmarks, subjects, "kind")
