"""A landmark encoder that points: every landmark is the centre of a heat map."""

import torch
import torch.nn.functional as F
from torch import nn

from lmcore.discovery.encoder import Encoder, LandmarkEncoder
from lmcore.registration.spline import spread_points

# Channels are normalised in so many groups, which works for batches of any size.
GROUPS = 4
# What the network adds to a heat map in units of its output: a small last layer then learns fast.
GAIN = 10.0
# Standard deviation of an untrained heat map around its place, in normalised coordinates.
PRIOR_DEVIATION = 0.15


class HeatmapEncoder(Encoder):
    """Convolutions down to small images and up again, M heat maps, their centres of mass.

    A fully connected layer has to learn for every place anew what a structure looks like; a heat
    map finds it wherever it is, so it learns from fewer images and follows a shift. The
    heat is the softmax of the network's output and a Gaussian around where the landmark started,
    which tells alike structures apart.

    Arguments:
        shape, landmarks, stride, channels: as of `LandmarkEncoder`.
        widths: channels at the four resolutions, each half the one before.
        hidden: channels at the fifth, which sees most of the image.
    """

    head = "heatmap"

    def __init__(
        self,
        shape: tuple[int, ...],
        landmarks: int,
        widths: tuple[int, int, int, int] = (16, 32, 32, 64),
        hidden: int = 128,
        stride: int = 2,
        channels: int = 1,
    ):
        super().__init__(shape, landmarks, widths, hidden, stride, channels)
        convolution = nn.Conv2d if self.dimension == 2 else nn.Conv3d
        sizes = [channels, *widths, hidden]
        self.down = nn.ModuleList(
            _block(convolution, before, after, stride if level == 0 else 2)
            for level, (before, after) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
        )
        # up again to the second resolution, whose heat maps are fine enough
        self.up = nn.ModuleList(
            _block(convolution, sizes[level + 2] + sizes[level + 1], sizes[level + 1], 1)
            for level in (3, 2, 1)
        )
        self.last = convolution(widths[1], landmarks, 1)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)
        step = 2 * stride
        for axis, n in enumerate(reversed(shape)):
            # a convolution with a stride looks at every step-th pixel, from the first on
            places = 2 * step * torch.arange(-(-n // step)) / (n - 1) - 1
            self.register_buffer(f"places_{axis}", places, persistent=False)
        self.register_buffer("start", torch.zeros(landmarks, self.dimension))
        self.start_from(spread_points(landmarks, self.dimension))
        layout = torch.channels_last if self.dimension == 2 else torch.channels_last_3d
        self.to(memory_format=layout)

    @torch.no_grad()
    def start_from(self, points: torch.Tensor) -> None:
        """Let the untrained encoder answer about `points` (M, d) in [-1, 1] for every image."""
        self._check_start(points)
        self.start.copy_(points)

    def landmarks_of(self, images: torch.Tensor) -> torch.Tensor:
        """(B, M, d) from standardised images (B, C, *shape)."""
        seen, values = [], images
        for block in self.down:
            values = block(values)
            seen.append(values)
        for block, finer in zip(self.up, seen[3:0:-1], strict=True):
            values = block(torch.cat([_double(values, finer.shape[2:]), finer], dim=1))
        with torch.autocast(images.device.type, enabled=False):
            heat = (GAIN * self.last(values.float()) + self._prior()).flatten(2).softmax(dim=-1)
            return self._centres(heat.unflatten(2, values.shape[2:]))

    def _prior(self) -> torch.Tensor:
        """(M, *heat map) logarithm of a Gaussian around the start of every landmark."""
        total = 0.0
        for axis in range(self.dimension):
            distance = getattr(self, f"places_{axis}") - self.start[:, axis, None]
            along = -distance.square() / (2 * PRIOR_DEVIATION**2)
            total = total + along.view(self.landmarks, *self._along(axis))
        return total

    def _centres(self, heat: torch.Tensor) -> torch.Tensor:
        """(B, M, d) centres of mass of (B, M, *heat map), x first."""
        centres = []
        for axis in range(self.dimension):
            places = getattr(self, f"places_{axis}").view(self._along(axis))
            centres.append((heat * places).flatten(2).sum(dim=-1))
        return torch.stack(centres, dim=-1).clamp(-1.0, 1.0)  # a sum of rounded shares may pass 1

    def _along(self, axis: int) -> list[int]:
        """The shape of values along one axis of a heat map; x is the last."""
        return [-1 if k == self.dimension - 1 - axis else 1 for k in range(self.dimension)]


def _block(convolution: type, before: int, after: int, stride: int) -> nn.Sequential:
    """Two convolutions, the first of which may halve the image."""
    # a group of a single channel could be a single value, which has no deviation
    groups = GROUPS if after % GROUPS == 0 and after > GROUPS else 1
    return nn.Sequential(
        convolution(before, after, 3, stride, padding=1),
        nn.GroupNorm(groups, after),
        nn.ReLU(inplace=True),
        convolution(after, after, 3, padding=1),
        nn.GroupNorm(groups, after),
        nn.ReLU(inplace=True),
    )


def _double(values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Linear interpolation to `shape`, of which `values` (B, C, ...) are every second pixel."""
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    between = [2 * n - 1 for n in values.shape[2:]]
    doubled = F.interpolate(values, between, mode=mode, align_corners=True)
    # the last pixel of an even side lies beyond the last of the values
    beyond = [n - m for n, m in zip(shape, between, strict=True)]
    return F.pad(doubled, [k for n in reversed(beyond) for k in (0, n)], mode="replicate")


ENCODERS = {encoder.head: encoder for encoder in (LandmarkEncoder, HeatmapEncoder)}


def build_encoder(head: str, **settings: object) -> Encoder:
    """An untrained encoder from what another one's `settings` hold."""
    return ENCODERS[head](**settings)
