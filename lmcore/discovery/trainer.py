"""Training a landmark encoder on pairs of images."""

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from lmcore.discovery.batch import Batch
from lmcore.discovery.checkpoint import load_checkpoint, save_checkpoint
from lmcore.discovery.encoder import Encoder
from lmcore.discovery.initial import initial_encoder
from lmcore.discovery.intensities import change_intensities
from lmcore.discovery.known_maps import LARGEST_SHIFT, equivariance_loss, move_images, random_maps
from lmcore.discovery.objective import Objective, Registrar
from lmcore.discovery.pairs import Batches, describe
from lmcore.discovery.recipes import RECIPES
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.validation import compared, evaluate, unit_of
from lmcore.errors import InputError
from lmcore.progress import Progress
from lmcore.seeds import derive_seed

logger = logging.getLogger("lmcore")

LARGEST_GRADIENT = 1.0
# Training images whose intensities and differences set the scales of a training.
SAMPLE = 32
# Steps in which an annealed learning rate rises.
WARM_UP = 50


class LandmarksMetError(InputError):
    """Training cannot go on: no spline can be solved, or no gradient is finite."""


@dataclass
class Trained:
    """The outcome of a training.

    Attributes:
        encoder: with the weights that are kept, see `Training.run`.
        history: one row a validation, as in `model/history.csv`.
        pairs: pairs seen in all.
        seconds: spent in training steps by this process.
        pairs_here: pairs seen by this process; fewer than `pairs` after a resume.
    """

    encoder: Encoder
    history: list[dict] = field(default_factory=list)
    pairs: int = 0
    seconds: float = 0.0
    pairs_here: int = 0


class Training:
    """One training: encoder, optimizer, batches and everything counted so far.

    Arguments:
        images: gives (B, C, *shape) for a list of subject indices.
        shape: spatial shape of the images.
        train: indices to train on.
        validation: indices whose pairs, always the same, are the validation; may be empty.
        settings: see `TrainingSettings`.
        seed: of the initial weights and the order of the batches.
        initial_landmarks: (M, d) where the untrained encoder puts its landmarks, or None:
            random for the paper's recipe, evenly spread for the robust one.
        what: named in progress and errors.
        mask: (1, 1, *shape) weights of the pixels in training and validation (Eq. 9), or None.
        shapes: gives (B, 1, *shape) shapes of some subjects and (B,) bool who has one (Eq. 8),
            or None.
        largest_shift: of known maps, see `random_maps`.
    """

    def __init__(
        self,
        images: Callable[[list[int]], torch.Tensor],
        shape: tuple[int, ...],
        train: list[int],
        validation: list[int],
        settings: TrainingSettings,
        seed: int,
        initial_landmarks: torch.Tensor | None = None,
        what: str = "training",
        mask: torch.Tensor | None = None,
        shapes: Callable[[list[int]], tuple[torch.Tensor, torch.Tensor]] | None = None,
        largest_shift: float = LARGEST_SHIFT,
    ):
        self.images, self.shapes, self.settings, self.what = images, shapes, settings, what
        self.train_indices, self.validation = train, validation
        self.recipe = RECIPES[settings.recipe]
        self.device = settings.device()
        self.mask = None if mask is None else mask.to(self.device)
        sample = images(train[:SAMPLE])
        self.encoder = initial_encoder(sample, settings, seed, initial_landmarks).to(self.device)
        self.objective = Objective(
            Registrar(shape, settings.kernel, settings.grid_stride, self.device),
            settings.match,
            settings.regularization,
            settings.landmarks,
            settings.pairing,
            settings.supervision,
            settings.shape_match,
            self.recipe.relative,
        )
        if self.recipe.relative:
            self._set_units(sample, train[:SAMPLE])
        self.maps = torch.Generator().manual_seed(derive_seed(seed, "maps"))
        self.largest_shift = largest_shift
        self.optimizer = torch.optim.Adam(
            self.encoder.parameters(), lr=settings.learning_rate, fused=True
        )
        descriptors = describe(images, train) if settings.pairing == "neighbours" else None
        self.batches = Batches(train, settings.batch, seed, descriptors)
        self.pairs, self.steps, self.history = 0, 0, []
        self.best, self.best_state = float("inf"), None
        self.checkpoint: str | os.PathLike | None = None
        self.sums = torch.zeros(5, dtype=torch.float64, device=self.device)

    def step(self) -> None:
        """One batch; a gradient that is not finite changes nothing and is counted."""
        batch, landmarks, equivariance = self._encode(self._read(next(self.batches)))
        images = compared(batch.images, self.settings)
        terms = self.objective(images, landmarks, batch.mask, batch.supervision)
        loss = terms.loss + self.recipe.equivariance * equivariance
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), LARGEST_GRADIENT)
        finite = norm.isfinite() & loss.isfinite()
        # Fused Adam skips a step by this flag, moments included, without waiting for the GPU.
        self.optimizer.grad_scale, self.optimizer.found_inf = None, (~finite).float()
        self._anneal()
        self.optimizer.step()
        self.steps += 1
        self.pairs += self.objective.pairs(len(images))
        means = [torch.where(finite, term, 0.0) for term in (loss, terms.kappa, terms.shape)]
        row = [*means, terms.failures, ~finite]
        self.sums += torch.stack([value.detach().double() for value in row])

    def _set_units(self, sample: torch.Tensor, indices: list[int]) -> None:
        """Count images, and shapes of the same subjects, in units of unregistered ones."""
        images = compared(sample, self.settings)
        self.objective.unit = unit_of(images, self.settings.match, self.mask)
        if self.shapes is not None:
            shapes, present = self.shapes(indices)
            if present.sum() > 1:
                self.objective.shape_unit = unit_of(shapes[present], self.settings.shape_match)

    def _read(self, subjects: list[int]) -> Batch:
        return Batch.of(subjects, self.images, self.mask, self.shapes, self.device)

    def _encode(self, batch: Batch) -> tuple[Batch, torch.Tensor, torch.Tensor | float]:
        """What of a batch is compared, its (B, M, d) landmarks, and how far they follow no map."""
        if not self.recipe.equivariance:
            return batch, self._landmarks(batch.images), 0.0
        shape = tuple(batch.images.shape[2:])
        maps = random_maps(len(batch.images), shape, self.maps, self.largest_shift)
        maps = maps.to(self.device)
        copies = move_images(batch.images, maps)
        changed = change_intensities(copies, self.maps, self.settings.hide)
        still, moved = self._landmarks(torch.cat([batch.images, changed])).chunk(2)
        equivariance = equivariance_loss(moved, still, maps)
        if self.recipe.copies and torch.rand((), generator=self.maps) < 0.5:
            return batch.moved(copies, maps), moved, equivariance
        return batch, still, equivariance

    def _landmarks(self, images: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            return self.encoder(images)

    def _anneal(self) -> None:
        """The learning rate of this step, where the recipe changes it."""
        if self.recipe.annealed:
            falling = (1 + math.cos(math.pi * min(1.0, self.pairs / self.settings.pairs))) / 2
            rate = self.settings.learning_rate * min(1.0, (self.steps + 1) / WARM_UP) * falling
            for group in self.optimizer.param_groups:
                group["lr"] = rate

    def validate(self) -> None:
        """Add a row to the history, remember the best weights, stop where nothing can be learned.

        Raises:
            LandmarksMetError: if most steps since the last validation had no finite gradient, or no
                target a solvable spline.
        """
        loss, kappa, shape, failures, skipped = self.sums.tolist()
        before = self.history[-1]["steps"] if self.history else 0
        steps = self.steps - before
        self.sums.zero_()
        targets = steps * self.batches.size
        solved = max(steps - skipped, 1)
        row = {
            "epoch": self.pairs / (len(self.train_indices) * (len(self.train_indices) - 1)),
            "pairs": self.pairs,
            "train_loss": loss / solved,
            "validation_loss": float("nan"),
            "shape_loss": shape / solved,
            "kappa": kappa / solved,
            "relative_kappa": kappa / solved / self.objective.reference,
            "failures": int(failures + skipped),
            "steps": self.steps,
        }
        self.history.append(row)
        if skipped > steps / 2 or failures > targets / 2:
            kept = f" (the last good state is {self.checkpoint})" if before else ""
            raise LandmarksMetError(
                f"{self.what} broke by step {self.steps}: {skipped:.0f} of {steps} steps had no "
                f"finite gradient and {failures:.0f} of {targets} spline systems were singular, "
                "since landmarks met: raise training.regularization or lower "
                f"training.learning_rate{kept if self.checkpoint else ''}"
            )
        if self.validation:
            row["validation_loss"], _ = self.score(self.validation)
            if row["validation_loss"] < self.best:
                self.best = row["validation_loss"]
                state = self.encoder.state_dict()
                self.best_state = {name: value.clone() for name, value in state.items()}

    def score(self, subjects: list[int]) -> tuple[float, float]:
        """Match and kappa of some subjects, see `evaluate`: shapes weigh as in the objective."""
        batch, objective = self._read(subjects), self.objective
        weight = objective.supervision * objective.unit / objective.shape_unit
        return evaluate(
            self.encoder, batch.images, self.settings, self.device, self.mask, batch.supervision,
            weight,
        )  # fmt: skip

    def stopped_early(self) -> bool:
        """Whether the validation loss has not improved for `patience` validations."""
        losses = [row["validation_loss"] for row in self.history]
        losses = [math.inf if math.isnan(loss) else loss for loss in losses]
        patience = self.settings.patience
        if not patience or len(losses) <= patience:
            return False
        return min(losses[-patience:]) > min(losses)

    def run(self, checkpoint: str | os.PathLike | None = None, digest: str = "") -> Trained:
        """Train to the end, from the checkpoint where there is a fitting one.

        The weights of the best validation are kept; the last ones where there is no validation,
        and where the recipe's learning rate has fallen to nothing: the match of a few pairs
        wavers by more than late steps improve it, and chance then keeps early weights.

        Without regularization landmarks that meet end the training, which the last row of the
        history shows.

        Raises:
            LandmarksMetError: where they meet although regularized, or before any validation.
        """
        self.checkpoint = checkpoint
        if checkpoint and (state := load_checkpoint(checkpoint, digest)):
            self.restore(state)
            logger.info(f"{self.what}: goes on after {self.pairs:,} pairs")
        progress = Progress(self.what, self.settings.pairs, "pairs")
        progress.update(self.pairs)
        begin, pairs_before, elsewhere = time.monotonic(), self.pairs, 0.0
        due = self.history[-1]["pairs"] if self.history else 0
        while self.pairs < self.settings.pairs and not self.stopped_early():
            self.step()
            last = self.history[-1] if self.history else {}
            shown = ("train_loss", "validation_loss", "kappa")
            progress.update(
                self.pairs, **{name.replace("_", " "): last[name] for name in shown if name in last}
            )
            if self.pairs - due >= self.settings.validate_every or (
                self.pairs >= self.settings.pairs
            ):
                due, paused = self.pairs, time.monotonic()
                try:
                    self.validate()
                except LandmarksMetError as error:
                    if self.settings.regularization or not self.best_state:
                        raise
                    # without regularization that is to be expected, and is an outcome (Fig. 2)
                    logger.warning(f"{error}; it ends here, with the best weights so far")
                    break
                if checkpoint:
                    save_checkpoint(checkpoint, digest, self.state())
                elsewhere += time.monotonic() - paused
        seconds = time.monotonic() - begin - elsewhere
        kept = self._keep()
        history = [
            {k: v for k, v in row.items() if k != "steps"} | {"kept": int(place == kept)}
            for place, row in enumerate(self.history)
        ]
        pairs = history[kept]["pairs"]
        logger.info(
            f"{self.what}: done, {self.pairs:,} pairs; the weights after {pairs:,} are kept"
        )
        return Trained(self.encoder.eval(), history, self.pairs, seconds, self.pairs - pairs_before)

    def _keep(self) -> int:
        """Take the weights that are kept; which row of the history is theirs."""
        annealed = self.recipe.annealed and self.pairs >= self.settings.pairs
        unusable = math.isnan(self.history[-1]["validation_loss"])  # or there is no validation
        if not self.best_state or (annealed and not unusable):
            return len(self.history) - 1
        self.encoder.load_state_dict(self.best_state)
        return [row["validation_loss"] for row in self.history].index(self.best)

    def state(self) -> dict:
        """Everything a resumed training needs to end with the same bytes."""
        return {
            "encoder": self.encoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "batches": self.batches.state(),
            "maps": self.maps.get_state(),
            "best": self.best,
            "best_state": self.best_state,
            "history": self.history,
            "pairs": self.pairs,
            "steps": self.steps,
        }

    def restore(self, state: dict) -> None:
        """Go on from `state`."""
        self.encoder.load_state_dict(state["encoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.batches.restore(state["batches"])
        self.maps.set_state(state["maps"])
        self.best, self.best_state = state["best"], state["best_state"]
        self.history, self.pairs, self.steps = state["history"], state["pairs"], state["steps"]
