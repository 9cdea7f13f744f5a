"""What `training.recipe` stands for: the paper as it is, and what an ablation added to it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How an encoder is built and taught, where the two recipes differ.

    Attributes:
        head: `linear`, the paper's fully connected layers, or `heatmap`, see heatmaps.py.
        spread: whether untrained landmarks are evenly spread; else they are random.
        relative: whether the match counts in units of that of unregistered pairs (of MIND, of ten
            of them), and kappa of that of as many quasi-uniform points, so that one lambda serves
            every population and every number of landmarks.
        local: whether images are compared without their local mean, which is illumination.
        equivariance: weight of the landmarks' distance, in [-1, 1], from where a known
            map of the image takes them.
        copies: whether every second step compares moved copies of the images, with their masks
            and shapes, in place of the images.
        annealed: whether the learning rate warms up, then falls to zero along a cosine; the last
            weights are then kept.
    """

    head: str
    spread: bool
    relative: bool
    local: bool
    equivariance: float
    copies: bool
    annealed: bool


RECIPES = {
    "paper": Recipe("linear", False, False, False, 0.0, False, False),
    "robust": Recipe("heatmap", True, True, True, 50.0, True, True),
}
