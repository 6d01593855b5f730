"""Maps over the pixels by Captum, of the same weights in PyTorch, to hold ours against."""

import jax
import numpy as np
import pytest

from ferjax.attribution import pixels

captum_hooks = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning")


def to_torch(net, torch, size):
    """layer -> the network in torch, from its weights alone; its output is one number an input."""
    nn = torch.nn

    def tensor(a):
        return torch.from_numpy(np.array(a))

    class Torch(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer, p = layer, net.params
            blocks = sum(name.endswith("_conv") for name in p)
            self.steps = nn.ModuleDict()
            for i in range(1, blocks + 1):
                kernel = p[f"block{i}_conv"]["kernel"]
                conv = nn.Conv2d(kernel.shape[2], kernel.shape[3], kernel.shape[0], padding="same")
                conv.weight.data = tensor(kernel.transpose(3, 2, 0, 1))
                conv.bias.data = tensor(p[f"block{i}_conv"]["bias"])
                self.steps[f"block{i}/conv"] = conv
                self.steps[f"block{i}/relu"], self.steps[f"block{i}/pool"] = nn.ReLU(), nn.MaxPool2d(2)
            side = size // 2**blocks
            flat = p["dense"]["kernel"].reshape(side, side, -1, p["dense"]["bias"].size)
            flat = flat.transpose(2, 0, 1, 3).reshape(-1, flat.shape[-1])  # torch flattens c, h, w
            linear = {
                "dense": (flat, p["dense"]["bias"]),
                "logits": tuple(p["logits"][k] for k in ("kernel", "bias")),
            }
            if net.head is not None:
                linear["aus"] = net.head["kernel"], net.head["bias"]
            for name, (kernel, bias) in linear.items():
                self.steps[name] = nn.Linear(*kernel.shape)
                self.steps[name].weight.data, self.steps[name].bias.data = tensor(kernel.T), tensor(bias)
            self.steps["dense/relu"] = nn.ReLU()

        def layer_of(self, x):
            names = [n for n in self.steps if n.startswith("block")] + ["dense", "dense/relu"]
            for name in [*names, self.layer] if self.layer in ("logits", "aus") else names:
                x = self.steps[name](x.flatten(1) if name == "dense" else x)
                if name == self.layer:
                    return x

        def forward(self, x, index, place):
            y = self.layer_of(x)[torch.arange(len(x)), index]
            return y if y.ndim == 1 else y.flatten(1)[torch.arange(len(x)), place]

    return Torch


def captum_maps(net, x, layer, index, names=tuple(pixels.METHODS)[:-1], at=None):
    """Method -> map [b, h, w, c] by Captum; with `at`, Grad-CAM's [b, h', w'] and it enlarged."""
    torch = pytest.importorskip("torch")
    attr = pytest.importorskip("captum.attr")
    model = to_torch(net, torch, x.shape[1])(layer).eval()
    inputs = torch.from_numpy(np.array(x).transpose(0, 3, 1, 2).copy()).requires_grad_()
    index = torch.from_numpy(np.array(index))
    with torch.no_grad():
        y = model.layer_of(inputs).numpy()
    place = y[np.arange(len(x)), index].reshape(len(x), -1).argmax(1)  # NumPy's: the first of equals
    more = (index, torch.from_numpy(place))
    saliency = attr.Saliency(model)
    calls = {
        "gradient": (saliency, {"abs": False}),
        "gradient_x_input": (attr.InputXGradient(model), {}),
        "integrated_gradients": (attr.IntegratedGradients(model), {}),
        "guided_backprop": (attr.GuidedBackprop(model), {}),
        "deconvnet": (attr.Deconvolution(model), {}),
        "smoothgrad": (attr.NoiseTunnel(saliency), {"abs": False, "stdevs": 0.0, "nt_samples": 2}),
    }
    maps = {}
    for name in names:
        method, options = calls[name]
        found = method.attribute(inputs, additional_forward_args=more, **options)
        maps[name] = found.detach().numpy().transpose(0, 2, 3, 1)
    if at:
        cam = attr.LayerGradCam(model, model.steps[at])
        small = cam.attribute(inputs, additional_forward_args=more, relu_attributions=True).detach()
        maps["grad_cam"] = small.numpy()[:, 0]
        size = tuple(x.shape[1:3])
        maps["enlarged"] = (
            attr.LayerAttribution.interpolate(small, size, "bilinear").numpy().transpose(0, 2, 3, 1)
        )
    return maps


def our_maps(net, x, layer, index, at=None, names=tuple(pixels.METHODS)[:-1]):
    """The same by ferjax."""
    options = {"smoothgrad": {"sigma": 0.0, "n": 2}}
    maps = {
        name: pixels.attribute(net, x, layer, index, name, jax.random.key(0), **options.get(name, {}))
        for name in names
    }
    if at:
        maps["grad_cam"] = pixels.grad_cam(net, x, layer, index, at=at)
        maps["enlarged"] = pixels.attribute(net, x, layer, index, "grad_cam", at=at)
    return maps


def assert_like(ours, captums, bound=1e-4):
    """In every input, the largest difference is at most `bound` of the largest value, and not all are 0."""
    for name, expected in captums.items():
        actual = np.asarray(ours[name])
        assert actual.shape == expected.shape, name
        axes = tuple(range(1, expected.ndim))
        largest = np.abs(expected).max(axes)
        assert largest.any(), name
        assert (np.abs(actual - expected).max(axes) <= bound * largest).all(), name
