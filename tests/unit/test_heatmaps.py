import numpy as np
import pytest
import torch
from torch import nn

from lmcore.discovery.heatmaps import ENCODERS, HeatmapEncoder, build_encoder
from lmcore.registration.spline import spread_points

SMALL = {"widths": (2, 3, 4, 5), "hidden": 6}
SHAPES = [((33, 50), 1), ((37, 70), 2), ((17, 20, 35), 1), ((33, 34, 40), 2)]


class Peaks(nn.Module):
    """In place of the last layer: each landmark's heat is all at one pixel of the map."""

    def __init__(self, peaks):
        super().__init__()
        self.peaks = peaks

    def forward(self, values):
        heat = torch.zeros(len(values), len(self.peaks), *values.shape[2:])
        for landmark, peak in enumerate(self.peaks):
            heat[:, landmark, *peak] = 1000.0
        return heat


def heat_of(encoder, images):
    """(B, M, *heat map), what the last layer says."""
    said = []
    hook = encoder.last.register_forward_hook(lambda module, given, out: said.append(out))
    with torch.no_grad():
        encoder(images)
    hook.remove()
    return said[0]


def place_of(pixel, length, step):
    """Normalised coordinate of a heat map's pixel along an axis of the image, by hand."""
    return pixel * step / (length - 1) * 2 - 1


class TestStart:
    @pytest.mark.parametrize(("shape", "stride"), SHAPES)
    def test_from_spread_points_for_every_image(self, shape, stride):
        torch.manual_seed(0)
        encoder = HeatmapEncoder(shape, 7, stride=stride, channels=2, **SMALL)
        found = encoder(torch.rand(3, 2, *shape))
        expected = spread_points(7, len(shape)).float().expand(3, -1, -1)
        torch.testing.assert_close(found, expected, atol=0.06, rtol=0)
        assert not torch.equal(found[0], found[1])

    @pytest.mark.parametrize(("shape", "stride"), SHAPES)
    def test_from_given_landmarks(self, shape, stride):
        """The Gaussian alone is centred on them, but for what the border cuts off."""
        torch.manual_seed(0)
        encoder = HeatmapEncoder(shape, 4, stride=stride, **SMALL)
        given = torch.tensor([[0.5, -0.6, 0.1], [-0.3, 0.4, -0.5], [0, 0, 0], [1, -1, 1]])
        given = given[:, : len(shape)]
        encoder.start_from(given.double())  # as the mean of a table is
        images, expected = torch.rand(2, 1, *shape), given.expand(2, -1, -1)
        found = encoder(images)
        torch.testing.assert_close(found[:, :3], expected[:, :3], atol=0.03, rtol=0)
        assert not torch.equal(found[0], found[1])
        nn.init.zeros_(encoder.last.weight)
        found = encoder(images)
        torch.testing.assert_close(found[:, :3], expected[:, :3], atol=1e-3, rtol=0)
        torch.testing.assert_close(found[:, 3], expected[:, 3], atol=0.2, rtol=0)

    def test_others_than_its_landmarks_are_refused(self):
        encoder = HeatmapEncoder((32, 48), 2, **SMALL)
        for points in (torch.zeros(3, 2), torch.zeros(2, 3)):
            with pytest.raises(ValueError, match=r"initial landmarks are .* has \(2, 2\)"):
                encoder.start_from(points)

    def test_a_start_is_kept_with_the_weights(self):
        torch.manual_seed(0)
        encoder = HeatmapEncoder((33, 40), 2, channels=2, **SMALL)
        encoder.start_from(torch.tensor([[0.3, -0.5], [-0.6, 0.4]]))
        encoder.standardise_by(0.4, 0.2)
        assert encoder.settings["head"] == "heatmap"
        again = build_encoder(**encoder.settings)
        again.load_state_dict(encoder.state_dict())
        images = torch.rand(2, 2, 33, 40)
        assert torch.equal(again(images), encoder(images))


class TestCoordinates:
    @pytest.mark.parametrize(("shape", "stride"), SHAPES)
    def test_heat_at_a_pixel_is_that_pixels_place(self, shape, stride):
        """Whatever the start says; x is the last axis."""
        step = 2 * stride
        counts = [(n + step - 1) // step for n in shape]
        peaks = [[1, 3, 5], [2, 0, 1], [0, 0, 0], [-1, -1, -1]]
        peaks = [[k % n for k, n in zip(peak, counts, strict=False)] for peak in peaks]
        encoder = HeatmapEncoder(shape, len(peaks), stride=stride, **SMALL)
        encoder.last = Peaks(peaks)
        expected = [
            [place_of(k, n, step) for k, n in zip(peak[::-1], shape[::-1], strict=True)]
            for peak in peaks
        ]
        found = encoder(torch.rand(2, 1, *shape))
        torch.testing.assert_close(found, torch.tensor(expected).expand(2, -1, -1))
        assert (found[:, 2] == -1).all()

    @pytest.mark.parametrize(
        ("shape", "stride"), [((49, 81), 1), ((65, 97), 2), ((17, 33, 49), 1), ((33, 65, 81), 2)]
    )
    def test_a_bright_pixel_is_found_where_it_is(self, shape, stride):
        """Through a network that hands its image on, from the image to the coordinates."""
        dimension, step = len(shape), 2 * stride
        encoder = HeatmapEncoder(shape, 1, (1, 1, 1, 1), 1, stride)
        centre = (0, slice(0, 1), *[1] * dimension)
        for block in (*encoder.down, *encoder.up):
            for layer in (block[0], block[3]):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
            # going up, the finer image is the second channel
            block[0].weight.data[0, -1, *[1] * dimension] = 1.0
            block[3].weight.data[centre] = 1.0
        nn.init.constant_(encoder.last.weight, 100.0)
        generator = torch.Generator().manual_seed(1)
        for _ in range(4):
            pixel = [
                step * int(torch.randint((n - 1) // step + 1, (1,), generator=generator))
                for n in shape
            ]
            images = torch.zeros(1, 1, *shape)
            images[0, 0, *pixel] = 1.0
            expected = [2 * k / (n - 1) - 1 for k, n in zip(pixel[::-1], shape[::-1], strict=True)]
            found = encoder(images)[0, 0]
            torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=0)

    @pytest.mark.parametrize(("shape", "stride"), SHAPES)
    def test_is_the_mean_of_all_heat(self, shape, stride):
        """Softmax of the output and the Gaussian around the start, by NumPy."""
        torch.manual_seed(0)
        encoder = HeatmapEncoder(shape, 3, stride=stride, **SMALL)
        nn.init.normal_(encoder.last.weight, std=0.3)
        nn.init.normal_(encoder.last.bias)
        images, step = torch.rand(2, 1, *shape), 2 * stride
        heat = heat_of(encoder, images).double().numpy()
        axes = [
            np.array([place_of(k, n, step) for k in range(count)])
            for n, count in zip(shape, heat.shape[2:], strict=True)
        ]
        mesh = np.stack(np.meshgrid(*axes, indexing="ij")[::-1], axis=-1)
        start = spread_points(3, len(shape)).numpy().reshape(3, *[1] * len(shape), -1)
        logarithm = 10 * heat - ((mesh - start) ** 2).sum(-1) / (2 * 0.15**2)
        weights = np.exp(logarithm)
        spatial = tuple(range(2, heat.ndim))
        total = (weights[..., None] * mesh).sum(axis=spatial)
        expected = total / weights.sum(axis=spatial)[..., None]
        with torch.no_grad():
            np.testing.assert_allclose(encoder(images), expected, atol=2e-5)

    @pytest.mark.parametrize(("shape", "stride"), SHAPES)
    def test_no_landmark_leaves_the_image(self, shape, stride):
        torch.manual_seed(0)
        encoder = HeatmapEncoder(shape, 20, stride=stride, **SMALL)
        nn.init.normal_(encoder.last.weight, std=100.0)
        encoder.start_from(3 * spread_points(20, len(shape)))
        found = encoder(1e3 * torch.rand(4, 1, *shape))
        assert found.isfinite().all()
        assert found.abs().max() <= 1
        assert found.abs().max() > 0.8


@pytest.mark.parametrize(
    ("shape", "shifts", "error"),
    [
        ((273, 305), (16, -32), 0.01),
        ((288, 320), (16, -32), 0.03),
        ((97, 113, 129), (16, 0, -16), 0.15),
    ],
)
def test_features_follow_a_shift(shape, shifts, error):
    """By whole pixels of the coarsest resolution, as far from the border as the image lets it."""
    torch.manual_seed(0)
    encoder = HeatmapEncoder(shape, 2, (2, 4, 4, 4), 4, stride=1)
    images = torch.zeros(1, 1, *shape)
    images[0, 0, *[slice(n // 2 - 3, n // 2 + 4) for n in shape]] = torch.rand([7] * len(shape))
    axes = tuple(range(2, images.dim()))
    still, moved = heat_of(encoder, images), heat_of(encoder, images.roll(shifts, axes))
    followed = still.roll([shift // 2 for shift in shifts], axes)
    around = [
        slice(n // 4 + shift // 2 - 6, n // 4 + shift // 2 + 7)
        for n, shift in zip(shape, shifts, strict=True)
    ]
    still, moved, followed = (heat[:, :, *around] for heat in (still, moved, followed))
    contrast = (followed - followed.mean()).norm()
    assert (moved - still).norm() > 0.5 * contrast
    assert (moved - followed).norm() < error * contrast


@pytest.mark.parametrize("shape", [(32, 48), (32, 36, 40)])
def test_every_layer_learns_from_the_first_step(shape):
    torch.manual_seed(0)
    encoder = HeatmapEncoder(shape, 5, (2, 3, 5, 6), 7)
    encoder(torch.rand(4, 1, *shape)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.isfinite().all(), name
        if name != "last.bias":  # it raises all of a heat map, which the softmax does not see
            assert parameter.grad.abs().max() > 1e-7, name


def test_one_image_is_what_it_is_in_a_batch():
    """No normalisation over the batch; the smallest image there is leaves one pixel of five."""
    torch.manual_seed(0)
    for shape, stride in (((16, 16), 1), ((31, 48), 2), ((16, 17, 18), 1)):
        encoder = HeatmapEncoder(shape, 3, stride=stride, **SMALL)
        nn.init.normal_(encoder.last.weight)
        images = torch.rand(3, 1, *shape)
        together, alone = encoder(images), torch.cat([encoder(image[None]) for image in images])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
        assert (together[0] - together[1]).abs().max() > 1e-2


def test_standardised_intensities_have_no_scale():
    torch.manual_seed(0)
    encoder = HeatmapEncoder((32, 48), 4, **SMALL)
    nn.init.normal_(encoder.last.weight)
    images = torch.rand(3, 1, 32, 48)
    plain = encoder(images)
    encoder.standardise_by(300.0, 40.0)
    torch.testing.assert_close(encoder(40 * images + 300), plain, atol=1e-3, rtol=0)
    encoder.standardise_by(0.5, 0.0)
    assert encoder(images).isfinite().all()
    assert encoder(torch.zeros(1, 1, 32, 48)).isfinite().all()  # nothing to see, nothing breaks


@pytest.mark.parametrize("shape", [(32, 48), (32, 36, 40)])
def test_coordinates_stay_in_float32_under_autocast(shape):
    """A step of bfloat16 is 1/256 near 1, half a pixel of 256."""
    torch.manual_seed(0)
    encoder = HeatmapEncoder(shape, 9, **SMALL)
    images = torch.rand(2, 1, *shape)
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(images)
    assert found.dtype == torch.float32
    assert not torch.equal(found, found.bfloat16().float())
    torch.testing.assert_close(found, encoder(images), atol=0.01, rtol=0)
    found.square().sum().backward()
    assert encoder.down[0][0].weight.grad.abs().max() > 1e-7


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"shape \(30, 64\) needs 32 pixels a side"):
        HeatmapEncoder((30, 64), 4)
    with pytest.raises(ValueError, match=r"images of shape \(32, 16\), .* takes \(16, 32\)"):
        HeatmapEncoder((16, 32), 4, stride=1, **SMALL)(torch.zeros(1, 1, 32, 16))


def test_heads_by_name():
    assert {name: encoder.head for name, encoder in ENCODERS.items()} == {
        "linear": "linear",
        "heatmap": "heatmap",
    }
    for name, kind in ENCODERS.items():
        settings = {"shape": [16, 32], "landmarks": 3, "stride": 1, "channels": 2, **SMALL}
        encoder = build_encoder(name, **settings)
        assert type(encoder) is kind
        assert encoder(torch.zeros(1, 2, 16, 32)).shape == (1, 3, 2)
