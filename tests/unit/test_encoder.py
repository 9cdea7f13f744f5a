import pytest
import torch
from torch import nn

from lmcore.discovery.encoder import LandmarkEncoder
from lmcore.discovery.heatmaps import build_encoder
from lmcore.registration.spline import spread_points

SMALL = {"widths": (2, 3, 4, 5), "hidden": 6}


@pytest.mark.parametrize(
    ("shape", "stride"), [((33, 50), 1), ((37, 70), 2), ((17, 20, 35), 1), ((33, 34, 40), 2)]
)
def test_starts_from_spread_points_for_every_image(shape, stride):
    """Odd sizes too: the linear layer fits what the trunk leaves."""
    torch.manual_seed(0)
    encoder = LandmarkEncoder(shape, 7, stride=stride, channels=2, **SMALL)
    found = encoder(torch.rand(3, 2, *shape))
    expected = spread_points(7, len(shape)).float().expand(3, -1, -1)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)
    assert not torch.equal(found[0], found[1])


def test_starts_from_given_landmarks():
    torch.manual_seed(0)
    encoder = LandmarkEncoder((16, 32), 2, **SMALL)
    given = torch.tensor([[0.3, -0.8], [1.0, -1.0]])  # the border itself is out of reach of tanh
    encoder.start_from(given)
    expected = torch.tensor([[0.3, -0.8], [0.995, -0.995]])
    found = encoder(torch.zeros(1, 1, 16, 32))[0]
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)
    with pytest.raises(ValueError, match=r"initial landmarks are \(3, 2\), .* has \(2, 2\)"):
        encoder.start_from(torch.zeros(3, 2))


@pytest.mark.parametrize("shape", [(32, 48), (16, 24, 32)])
def test_every_layer_learns_from_the_first_step(shape):
    torch.manual_seed(0)
    encoder = LandmarkEncoder(shape, 5, **SMALL)
    encoder(torch.rand(4, 1, *shape)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.abs().max() > 1e-7, name


@pytest.mark.parametrize(
    ("shape", "kind", "count", "activation"),
    [((16, 32), nn.Conv2d, 12, nn.ReLU), ((16, 16, 32), nn.Conv3d, 8, nn.LeakyReLU)],
)
def test_layers_of_the_paper(shape, kind, count, activation):
    encoder = LandmarkEncoder(shape, 5, widths=(32, 64, 128, 256), hidden=64)
    convolutions = [layer for layer in encoder.trunk if isinstance(layer, kind)]
    assert len(convolutions) == count
    assert {layer.kernel_size for layer in convolutions} == {(3,) * len(shape)}
    assert [layer.out_channels for layer in convolutions][:: count - 1] == [32, 256]
    assert sum(isinstance(layer, activation) for layer in encoder.trunk) == count
    assert sum("MaxPool" in type(layer).__name__ for layer in encoder.trunk) == 4
    assert encoder.linear[0].in_features == 256 * 2


def test_standardised_intensities_have_no_scale():
    torch.manual_seed(0)
    encoder = LandmarkEncoder((16, 32), 4, **SMALL)
    images = torch.rand(3, 1, 16, 32)
    plain = encoder(images)
    encoder.standardise_by(300.0, 40.0)
    torch.testing.assert_close(encoder(40 * images + 300), plain, atol=1e-5, rtol=0)
    encoder.standardise_by(0.5, 0.0)  # constant images divide by no zero
    assert encoder(images).isfinite().all()


def test_settings_rebuild_the_encoder():
    torch.manual_seed(0)
    encoder = LandmarkEncoder((33, 40), 4, stride=2, channels=2, **SMALL)
    again = build_encoder(**encoder.settings)
    again.load_state_dict(encoder.state_dict())
    images = torch.rand(2, 2, 33, 40)
    assert torch.equal(again(images), encoder(images))


def test_coordinates_stay_in_float32_under_autocast():
    """A step of bfloat16 is 1/256 near 1, half a pixel of 256."""
    torch.manual_seed(0)
    encoder = LandmarkEncoder((16, 32), 9, **SMALL)
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(torch.rand(1, 1, 16, 32))
    assert found.dtype == torch.float32
    assert not torch.equal(found, found.bfloat16().float())


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"shape \(15, 64\) needs 16 pixels a side"):
        LandmarkEncoder((15, 64), 4)
    with pytest.raises(ValueError, match=r"2D or 3D, not of shape \(64,\)"):
        LandmarkEncoder((64,), 4)
    with pytest.raises(ValueError, match=r"images of shape \(32, 16\), .* takes \(16, 32\)"):
        LandmarkEncoder((16, 32), 4, **SMALL)(torch.zeros(1, 1, 32, 16))
