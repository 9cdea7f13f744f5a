"""Spectral clustering of landmark descriptors, held against the known classes (Sec. 4.1)."""

import logging
import os

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.cluster import SpectralClustering
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from lmcore.analysis.descriptors import read_descriptors
from lmcore.analysis.intervals import bootstrap_interval
from lmcore.analysis.numbers import number_row, write_numbers
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.seeds import derive_seed

logger = logging.getLogger("lmcore")

Path = str | os.PathLike


def cluster_subjects(
    landmarks: Path,
    subjects: Path,
    class_column: str,
    output: Path,
    numbers: Path,
    seed: int,
    clusters: int | None = None,
) -> None:
    """Cluster the subjects by their landmarks and measure the agreement with the classes.

    The classes are used for the score and for the numbering of the clusters, never for the
    clustering. The interval takes the clusters as given: it holds the chance in which subjects
    there are, not that of another clustering.

    Arguments:
        landmarks, subjects, class_column: see `read_descriptors`.
        output: analysis/clustering.csv: subject, split, class, cluster, component_1, component_2.
        numbers: adjusted_rand_index (1 perfect, 0 expected of random labels), the p value of a
            permutation test of it, and the share of the variance on each component.
        seed: the configuration's.
        clusters: how many; the number of classes when None.
    Raises:
        InputError: when there are fewer subjects than clusters, and as `read_descriptors`.
    """
    data = read_descriptors(landmarks, subjects, class_column)
    count = len(data.class_names) if clusters is None else clusters
    if not 2 <= count < len(data.subjects):
        raise InputError(
            f"analyses.clustering: {count} clusters of {len(data.subjects)} subjects are not "
            "possible; ask for 2 or more, and fewer than subjects"
        )
    values = StandardScaler().fit_transform(data.values)
    with threadpool_limits(1):
        found = spectral_clusters(values, count, derive_seed(seed, "clustering"))
        components, shares = principal_components(values, 2)
    numbered = number_clusters(found, data.classes)
    index = adjusted_rand_index(data.classes, numbered)
    interval, p = _uncertainty(data.classes, numbered, index, seed)
    frame = pd.DataFrame(
        {"subject": data.subjects, "split": data.splits, "class": data.classes}
        | {"cluster": numbered}
        | {f"component_{i + 1}": components[:, i] for i in range(2)}
    )
    write_csv(output, frame)
    n = len(frame)
    write_numbers(
        numbers,
        [
            number_row("adjusted_rand_index", index, "index", n, interval),
            number_row("adjusted_rand_index_permutation_p", p, "probability", n),
            *(
                number_row(f"component_{i + 1}_variance_share", share, "share", n)
                for i, share in enumerate(shares)
            ),
        ],
    )
    logger.info(
        f"{count} clusters of {n} subjects: adjusted Rand index {index:.3f} "
        f"[{interval[0]:.3f}, {interval[1]:.3f}]"
    )


def spectral_clusters(values: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Normalised spectral clustering (Ng, Jordan, Weiss 2001) with locally scaled affinities.

    Arguments:
        values: (N, D) standardised descriptors.
        count: number of clusters.
    Returns:
        (N,) labels 0 to count - 1, in no particular order.
    """
    model = SpectralClustering(
        n_clusters=count, affinity="precomputed", assign_labels="kmeans", n_init=20,
        random_state=seed,
    )  # fmt: skip
    return model.fit_predict(local_affinity(values))


def local_affinity(values: np.ndarray, neighbour: int = 7) -> np.ndarray:
    """exp(-d_ij^2 / (s_i s_j)), s_i the distance to the 7th neighbour (Zelnik-Manor, Perona 2004).

    Its one length follows the data, where a common bandwidth would need choosing for every
    population; and unlike a graph of nearest neighbours it is never disconnected: a small
    floor ties groups together that are so far apart that the exponential underflows.

    Returns:
        (N, N), symmetric, in [1e-9, 1], 1 on the diagonal.
    """
    distances = cdist(values, values)
    neighbour = min(neighbour, len(values) - 1)
    scale = np.partition(distances, neighbour, axis=1)[:, neighbour]
    # subjects with more than 7 doubles have no scale of their own
    smallest = scale[scale > 0].min() if (scale > 0).any() else 1.0
    scale = np.maximum(scale, smallest)
    return np.maximum(np.exp(-(distances**2) / np.outer(scale, scale)), 1e-9)


def principal_components(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores on the first principal components, (N, count), and their shares of the variance.

    The sign of a component is arbitrary; here its largest loading is positive. Components
    beyond the rank of the data are zero.
    """
    centred = values - values.mean(axis=0)
    _, singular, loadings = np.linalg.svd(centred, full_matrices=False)
    largest = np.abs(loadings).argmax(axis=1)
    loadings *= np.sign(loadings[np.arange(len(loadings)), largest])[:, None]
    scores, shares = np.zeros((len(values), count)), np.zeros(count)
    kept = min(count, len(loadings))
    scores[:, :kept] = centred @ loadings[:kept].T
    variance = (singular**2).sum()
    shares[:kept] = singular[:kept] ** 2 / variance if variance > 0 else 0.0
    return scores, shares


def number_clusters(found: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Give each cluster the number of the class that it matches best.

    Class i of the sorted classes has number i + 1. The matching is one to one and maximises
    the number of subjects whose cluster has their class's number (Hungarian method).
    Clusters in excess of the classes follow, the largest first; with fewer clusters than
    classes the numbers of unmatched classes are not used.
    """
    names, class_of = np.unique(np.asarray(classes, dtype=str), return_inverse=True)
    labels, cluster_of = np.unique(found, return_inverse=True)
    counts = _contingency(cluster_of, class_of)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    number = np.zeros(len(labels), dtype=int)
    number[rows] = columns + 1
    rest = np.flatnonzero(number == 0)
    rest = rest[np.argsort(-counts[rest].sum(axis=1), kind="stable")]
    number[rest] = len(names) + 1 + np.arange(len(rest))
    return number[cluster_of]


def adjusted_rand_index(
    classes: np.ndarray, clusters: np.ndarray, weights: np.ndarray | None = None
) -> float | np.ndarray:
    """Adjusted Rand index (Hubert and Arabie 1985), of bootstrap resamples where weights are given.

    A subject that a resample draws twice would form a pair with itself that always agrees,
    which biases the resampled index upwards; such pairs are left out.

    Arguments:
        classes, clusters: (N,) labels.
        weights: (B, N) how often each subject is drawn; once each when None.
    Returns:
        One number, or (B,); NaN where both partitions are trivial.
    """
    class_of = np.unique(np.asarray(classes, dtype=str), return_inverse=True)[1]
    cluster_of = np.unique(clusters, return_inverse=True)[1]
    cell = np.unique(class_of * (cluster_of.max() + 1) + cluster_of, return_inverse=True)[1]
    drawn = np.ones((1, len(cell))) if weights is None else weights
    together = _pairs(cell, drawn)
    in_class, in_cluster = _pairs(class_of, drawn), _pairs(cluster_of, drawn)
    expected = in_class * in_cluster / _pairs(np.zeros_like(cell), drawn)
    with np.errstate(invalid="ignore", divide="ignore"):
        index = (together - expected) / ((in_class + in_cluster) / 2 - expected)
    return float(index[0]) if weights is None else index


def _pairs(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B,) pairs of different subjects with the same label; `weights` (B, N) counts subjects."""
    member = np.eye(labels.max() + 1)[labels]
    return (((weights @ member) ** 2 - weights**2 @ member) / 2).sum(axis=1)


def _contingency(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    counts = np.zeros((rows.max() + 1, columns.max() + 1), dtype=int)
    np.add.at(counts, (rows, columns), 1)
    return counts


def _uncertainty(classes, clusters, index: float, seed: int, permutations: int = 999):
    """Bootstrap interval over subjects, and the p value of a permutation test of the index."""
    interval = bootstrap_interval(
        lambda weights: adjusted_rand_index(classes, clusters, weights),
        len(classes),
        derive_seed(seed, "clustering", "interval"),
    )
    random = np.random.default_rng(derive_seed(seed, "clustering", "permutations"))
    chance = [
        adjusted_rand_index(random.permutation(classes), clusters) for _ in range(permutations)
    ]
    return interval, (1 + np.sum(np.asarray(chance) >= index)) / (1 + permutations)
