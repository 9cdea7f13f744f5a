"""The paper's method as its text has it, in ordinary vectorised torch: the yardstick.

Every pair is its own registration: both images go through the encoder (Siamese), the system of
2(M + 3) equations (Eq. 13-14; one block for each coordinate) is built and solved by
`torch.linalg.solve` for all pairs of the batch at once, the kernel is evaluated between every
pixel and every control point of every pair, and the condition number is that of the block
matrix with its inverse taken anew (Eq. 7). System and solution are float64, for in float32 an
ill-conditioned system gives no usable weights; everything on the grid is float32. Nothing is
slowed: kernel distances are added axis by axis without a temporary per component, and nothing
is computed twice. Run as a script it checks that its registered images are ours.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from lmcore.discovery.initial import initial_encoder
from lmcore.discovery.objective import Registrar
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.trainer import LARGEST_GRADIENT, SAMPLE
from lmcore.registration.spline import regular_grid, with_corners


def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """phi(r) = r^2 log r between points (N, P, d) or (P, d) and (N, M, d): (N, P, M)."""
    squared = sum(
        (a[..., :, None, axis] - b[..., None, :, axis]).square() for axis in range(b.shape[-1])
    )
    return 0.5 * squared * squared.clamp_min(1e-30).log()


def block_system(targets: torch.Tensor) -> torch.Tensor:
    """A of Eq. 13-14, (N, d(M+d+1), d(M+d+1)) float64, from control points (N, M, d)."""
    points = targets.double()
    count, landmarks, dimension = points.shape
    affine = torch.cat([points, points.new_ones(count, landmarks, 1)], dim=-1)
    zero = points.new_zeros(count, dimension + 1, dimension + 1)
    conditions = torch.cat([affine.transpose(1, 2), zero], dim=-1)
    block = torch.cat([conditions, torch.cat([kernel(points, points), affine], dim=-1)], dim=1)
    size = block.shape[-1]
    system = points.new_zeros(count, dimension * size, dimension * size)
    for axis in range(dimension):
        part = slice(axis * size, (axis + 1) * size)
        system[:, part, part] = block
    return system


def transform(
    system: torch.Tensor, sources: torch.Tensor, targets: torch.Tensor, grid: torch.Tensor
) -> torch.Tensor:
    """T of every pair at the grid, (N, P, d) float32 (Eq. 11-12).

    Arguments:
        system: of the pairs' targets, as `block_system` gives it.
        sources, targets: (N, M, d) landmarks of the pairs with corners.
        grid: (P, d) float32.
    """
    count, landmarks, dimension = targets.shape
    zero = sources.new_zeros(count, dimension, dimension + 1, dtype=torch.float64)
    right = torch.cat([zero, sources.double().transpose(1, 2)], dim=-1).flatten(1)
    weights = torch.linalg.solve(system, right).view(count, dimension, -1).transpose(1, 2).float()
    radial, linear = weights[:, :landmarks], weights[:, landmarks:-1]
    return kernel(grid, targets.float()) @ radial + grid @ linear + weights[:, -1:]


def condition_number(system: torch.Tensor) -> torch.Tensor:
    """(N,) kappa(A) = ||A||_F ||A^-1||_F (Eq. 7) of the block matrix: d times that of a block."""
    norm = torch.linalg.matrix_norm
    return norm(system) * norm(torch.linalg.inv(system))


def register(
    images: torch.Tensor, sources: torch.Tensor, targets: torch.Tensor, grid: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Registered images (N, C, *spatial) of N pairs, and the pairs' systems.

    Arguments:
        images: (N, C, *spatial) sources.
        sources, targets: (N, M, d) landmarks without corners.
        grid: (P, d) float32, every pixel.
    """
    sources, targets = with_corners(sources), with_corners(targets)
    system = block_system(targets)
    points = transform(system, sources, targets, grid)
    points = points.view(len(images), *images.shape[2:], targets.shape[-1])
    return F.grid_sample(images, points, padding_mode="border", align_corners=True), system


class LiteralTraining:
    """Training on batches of pairs, with Adam, from the same initial weights as ours.

    Arguments:
        images: (N, C, *shape) training images.
        settings: of which `grid_stride` has no meaning here; the weight of the condition number
            is divided by d, since the block matrix has d times ours. The gradient's norm is
            clipped as in ours, which costs nothing next to the rest and keeps it from breaking.
        seed: of weights and order of pairs.
        batch: pairs per step; the paper has 20.
    """

    def __init__(self, images: torch.Tensor, settings: TrainingSettings, seed: int, batch: int):
        self.images, self.settings, self.batch = images, settings, batch
        self.device = images.device
        shape = images.shape[2:]
        self.encoder = initial_encoder(images[:SAMPLE].cpu(), settings, seed).to(self.device)
        self.grid = regular_grid(shape, self.device).float()
        self.weight = settings.regularization / len(shape)
        self.optimizer = torch.optim.Adam(
            self.encoder.parameters(), lr=settings.learning_rate, fused=True
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.queue = torch.empty(0, 2, dtype=torch.long)
        self.pairs = 0

    def next_pairs(self) -> torch.Tensor:
        """(batch, 2) source and target; all ordered pairs of two images, reshuffled each epoch."""
        while len(self.queue) < self.batch:
            count = len(self.images)
            every = torch.cartesian_prod(torch.arange(count), torch.arange(count))
            every = every[every[:, 0] != every[:, 1]]
            order = torch.randperm(len(every), generator=self.generator)
            self.queue = torch.cat([self.queue, every[order]])
        pairs, self.queue = self.queue[: self.batch], self.queue[self.batch :]
        return pairs

    def step(self) -> None:
        """One batch of pairs."""
        source, target = (self.images[part] for part in self.next_pairs().to(self.device).T)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            landmarks = self.encoder(torch.cat([source, target]))
        sources, targets = landmarks.split(len(source))
        registered, system = register(source, sources, targets, self.grid)
        match = (registered - target).square().mean()
        loss = match + self.weight * condition_number(system).mean()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        self.pairs += len(source)


@torch.no_grad()
def difference(images: torch.Tensor, landmarks: torch.Tensor) -> tuple[float, float]:
    """Largest absolute difference of registered intensities to ours, and kappa over ours.

    All ordered pairs of the images, the diagonal included, every pixel (grid stride 1).
    """
    count, device = len(images), images.device
    ours = Registrar(images.shape[2:], device=device).register(images, landmarks)
    target, source = torch.cartesian_prod(torch.arange(count), torch.arange(count)).to(device).T
    grid = regular_grid(images.shape[2:], device).float()
    registered, system = register(images[source], landmarks[source], landmarks[target], grid)
    ratio = condition_number(system).view(count, count)[:, 0] / ours.fitted.condition_number
    return float((registered - ours.registered.flatten(0, 1)).abs().max()), float(ratio.mean())


def main(arguments: list[str] | None = None) -> None:
    """Print how far the literal method's registered images are from ours."""
    parser = common.parser(__doc__.splitlines()[0], size=128)
    parser.add_argument("--images", type=int, default=4)
    options = parser.parse_args(arguments)
    device = common.start(options)
    images = common.toy_images(options.images, options.size, options.seed).to(device)
    points = common.spread_landmarks(options.images, options.landmarks, 2, options.seed)
    largest, ratio = difference(images, points.to(device))
    common.report(
        device,
        largest_difference=largest,
        condition_number_ratio=ratio,
        pairs=options.images**2,
        **common.chosen(options, "size", "landmarks"),
    )


if __name__ == "__main__":
    main()
