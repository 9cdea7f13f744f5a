"""The landmark encoder f: one image -> M points in [-1, 1] (appendix B of the paper)."""

import math

import torch
from torch import nn

from lmcore.registration.spline import spread_points

CONVOLUTIONS = {2: (2, 2, 4, 4), 3: (2, 2, 2, 2)}


class LandmarkEncoder(nn.Module):
    """Four blocks of 3-wide convolutions, each halved by max-pooling, then two linear layers.

    2D: 2, 2, 4, 4 convolutions and ReLU; 3D: 2 each and leaky ReLU. The last linear layer
    and a hyperbolic tangent give the coordinates.

    Arguments:
        shape: spatial shape (z,) y, x of the images.
        landmarks: number M of learned landmarks.
        widths: channels of the four blocks.
        hidden: units of the first linear layer.
        stride: of the very first convolution; 2 makes the encoder about four times cheaper.
        channels: of the image.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        landmarks: int,
        widths: tuple[int, int, int, int] = (32, 64, 128, 256),
        hidden: int = 512,
        stride: int = 1,
        channels: int = 1,
    ):
        super().__init__()
        self.shape, self.landmarks, self.dimension = tuple(shape), landmarks, len(shape)
        self.settings = {
            "shape": list(shape),
            "landmarks": landmarks,
            "widths": list(widths),
            "hidden": hidden,
            "stride": stride,
            "channels": channels,
        }
        if self.dimension not in CONVOLUTIONS:
            raise ValueError(f"images are 2D or 3D, not of shape {tuple(shape)}")
        flat_shape = self._shape_after_trunk(shape, stride)
        if min(flat_shape) < 1:
            smallest = 2 ** len(widths) * stride
            raise ValueError(f"an image of shape {tuple(shape)} needs {smallest} pixels a side")
        convolution = nn.Conv2d if self.dimension == 2 else nn.Conv3d
        pool = nn.MaxPool2d if self.dimension == 2 else nn.MaxPool3d
        activation = nn.ReLU if self.dimension == 2 else nn.LeakyReLU
        layers, before = [], channels
        for width, count in zip(widths, CONVOLUTIONS[self.dimension], strict=True):
            for _ in range(count):
                step = 1 if layers else stride
                layers += [convolution(before, width, 3, step, padding=1), activation()]
                before = width
            layers.append(pool(2))
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(before * math.prod(flat_shape), hidden),
            activation(),
            nn.Linear(hidden, landmarks * self.dimension),
        )
        # Intensities are standardised by the training images' mean and deviation.
        self.register_buffer("intensity_mean", torch.zeros(1))
        self.register_buffer("intensity_deviation", torch.ones(1))
        self._initialise(spread_points(landmarks, self.dimension))

    @staticmethod
    def _shape_after_trunk(shape: tuple[int, ...], stride: int) -> list[int]:
        return [((n + stride - 1) // stride) // 16 for n in shape]

    def _initialise(self, points: torch.Tensor) -> None:
        """He initialisation of the trunk; the last layer small but not zero around `points`.

        The default initialisation lets a signal die over twelve convolutions, and a last
        layer of zeros gives the trunk no gradient at the first step.
        """
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        last = self.head[-1]
        nn.init.normal_(last.weight, std=0.01 / math.sqrt(last.in_features))
        self.start_from(points)

    @torch.no_grad()
    def start_from(self, points: torch.Tensor) -> None:
        """Let the untrained encoder answer `points` (M, d) in (-1, 1) for every image."""
        if tuple(points.shape) != (self.landmarks, self.dimension):
            raise ValueError(
                f"initial landmarks are {tuple(points.shape)}, "
                f"the encoder has {(self.landmarks, self.dimension)}"
            )
        inside = points.double().clamp(-0.995, 0.995)
        self.head[-1].bias.copy_(torch.atanh(inside).flatten())

    @torch.no_grad()
    def standardise_by(self, mean: float, deviation: float) -> None:
        """Fix how intensities are standardised, from images of the training split alone."""
        self.intensity_mean.fill_(mean)
        self.intensity_deviation.fill_(max(deviation, 1e-6))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, M, d) landmarks in (-1, 1) from images (B, C, *shape); coordinates in float32."""
        if tuple(images.shape[2:]) != self.shape:
            raise ValueError(
                f"images of shape {tuple(images.shape[2:])}, the encoder takes {self.shape}"
            )
        standard = (images - self.intensity_mean) / self.intensity_deviation
        features = self.trunk(standard).flatten(1)
        hidden = self.head[:-1](features)
        # A step of bfloat16 is half a pixel: the coordinates themselves stay in float32.
        with torch.autocast(images.device.type, enabled=False):
            raw = self.head[-1](hidden.float())
        return torch.tanh(raw).view(-1, self.landmarks, self.dimension)
