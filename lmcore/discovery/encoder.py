"""The landmark encoder f: one image -> M points in [-1, 1], and that of the paper (appendix B)."""

import math

import torch
from torch import nn

from lmcore.registration.spline import spread_points

CONVOLUTIONS = {2: (2, 2, 4, 4), 3: (2, 2, 2, 2)}


class Encoder(nn.Module):
    """What every landmark encoder has: its settings, and how intensities are standardised.

    Arguments:
        shape: spatial shape (z,) y, x of the images.
        landmarks: number M of learned landmarks.
        widths, hidden, stride: of the network.
        channels: of the image.
    """

    head: str  # name of the network, as recipes have it

    def __init__(
        self,
        shape: tuple[int, ...],
        landmarks: int,
        widths: tuple[int, int, int, int],
        hidden: int,
        stride: int,
        channels: int,
    ):
        super().__init__()
        self.shape, self.landmarks, self.dimension = tuple(shape), landmarks, len(shape)
        if self.dimension not in CONVOLUTIONS:
            raise ValueError(f"images are 2D or 3D, not of shape {tuple(shape)}")
        smallest = 2 ** len(widths) * stride
        if min(shape) < smallest - stride + 1:
            raise ValueError(f"an image of shape {tuple(shape)} needs {smallest} pixels a side")
        self.settings = {
            "head": self.head,
            "shape": list(shape),
            "landmarks": landmarks,
            "widths": list(widths),
            "hidden": hidden,
            "stride": stride,
            "channels": channels,
        }
        # Intensities are standardised by the training images' mean and deviation.
        self.register_buffer("intensity_mean", torch.zeros(1))
        self.register_buffer("intensity_deviation", torch.ones(1))

    @torch.no_grad()
    def standardise_by(self, mean: float, deviation: float) -> None:
        """Fix how intensities are standardised, from images of the training split alone."""
        self.intensity_mean.fill_(mean)
        self.intensity_deviation.fill_(max(deviation, 1e-6))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, M, d) landmarks in [-1, 1] from images (B, C, *shape); coordinates in float32."""
        if tuple(images.shape[2:]) != self.shape:
            raise ValueError(
                f"images of shape {tuple(images.shape[2:])}, the encoder takes {self.shape}"
            )
        return self.landmarks_of((images - self.intensity_mean) / self.intensity_deviation)

    def _check_start(self, points: torch.Tensor) -> None:
        if tuple(points.shape) != (self.landmarks, self.dimension):
            raise ValueError(
                f"initial landmarks are {tuple(points.shape)}, "
                f"the encoder has {(self.landmarks, self.dimension)}"
            )


class LandmarkEncoder(Encoder):
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

    head = "linear"

    def __init__(
        self,
        shape: tuple[int, ...],
        landmarks: int,
        widths: tuple[int, int, int, int] = (32, 64, 128, 256),
        hidden: int = 512,
        stride: int = 1,
        channels: int = 1,
    ):
        super().__init__(shape, landmarks, widths, hidden, stride, channels)
        flat_shape = [((n + stride - 1) // stride) // 16 for n in shape]
        convolution = nn.Conv2d if self.dimension == 2 else nn.Conv3d
        pool = nn.MaxPool2d if self.dimension == 2 else nn.MaxPool3d
        activation = nn.ReLU if self.dimension == 2 else nn.LeakyReLU
        layers, before = [], channels
        for width, count in zip(widths, CONVOLUTIONS[self.dimension], strict=True):
            for _ in range(count):
                step = 1 if layers else stride
                # in place: nothing but the next layer reads what a convolution gives
                layers += [convolution(before, width, 3, step, padding=1), activation(inplace=True)]
                before = width
            layers.append(pool(2))
        self.trunk = nn.Sequential(*layers)
        self.linear = nn.Sequential(
            nn.Linear(before * math.prod(flat_shape), hidden),
            activation(inplace=True),
            nn.Linear(hidden, landmarks * self.dimension),
        )
        self._initialise(spread_points(landmarks, self.dimension))
        # Convolutions are faster with the channels of a pixel side by side.
        layout = torch.channels_last if self.dimension == 2 else torch.channels_last_3d
        self.trunk.to(memory_format=layout)

    def _initialise(self, points: torch.Tensor) -> None:
        """He initialisation of the trunk; the last layer small but not zero around `points`.

        The default initialisation lets a signal die over twelve convolutions, and a last
        layer of zeros gives the trunk no gradient at the first step.
        """
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        last = self.linear[-1]
        nn.init.normal_(last.weight, std=0.01 / math.sqrt(last.in_features))
        self.start_from(points)

    @torch.no_grad()
    def start_from(self, points: torch.Tensor) -> None:
        """Let the untrained encoder answer `points` (M, d) in (-1, 1) for every image."""
        self._check_start(points)
        inside = points.double().clamp(-0.995, 0.995)
        self.linear[-1].bias.copy_(torch.atanh(inside).flatten())

    def landmarks_of(self, images: torch.Tensor) -> torch.Tensor:
        """(B, M, d) in (-1, 1) from standardised images (B, C, *shape)."""
        hidden = self.linear[:-1](self.trunk(images).flatten(1))
        # A step of bfloat16 is half a pixel: the coordinates themselves stay in float32.
        with torch.autocast(images.device.type, enabled=False):
            raw = self.linear[-1](hidden.float())
        return torch.tanh(raw).view(-1, self.landmarks, self.dimension)
