"""Maps of saliency by ML-Net (Cornia et al. 2016) in ferjax and in PyTorch, on random images of 480x640.

Each function takes a batch size and gives (run, version): `run` makes the maps of a batch and brings them to
the host. Both have VGG16's thirteen convolutions with the fourth pooling at stride 1; pool3, pool4 and
conv5_3 together; 3x3 to 64 filters, 1x1 to one, and the learned prior. Float32 products; on a GPU TF32.
"""

import numpy as np

from benchmarks.alexnet import faster, layouts
from benchmarks.contestants import torch_device, torch_words

HEIGHT, WIDTH = 480, 640
PRIOR = (6, 8)
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # filters of each block


def random_images(batch: int) -> np.ndarray:
    """float32 [batch, 480, 640, 3], about as pixels less their mean."""
    return np.random.default_rng(0).normal(0, 60, (batch, HEIGHT, WIDTH, 3)).astype(np.float32)


def ferjax(batch: int, compute_dtype: str = "float32"):
    """ferjax's network, compiled, with weights at random."""
    import jax
    import jax.numpy as jnp

    from ferjax.models import ml_net
    from ferjax.ops import keep_freed_memory

    keep_freed_memory()
    images = jnp.asarray(random_images(batch))
    model = ml_net.MlNet(dtype=jnp.dtype(compute_dtype))
    params = jax.jit(model.init)(jax.random.key(0), images[:1])["params"]
    forward = jax.jit(lambda p, x: model.apply({"params": p}, x)[0])
    device = jax.devices()[0]
    where = device.device_kind if device.platform != "cpu" else "cpu"
    return lambda: np.asarray(forward(params, images)), f"jax {jax.__version__} on {where}"


def ferjax_bf16(batch: int):
    """The same with bfloat16 products."""
    return ferjax(batch, "bfloat16")


def torch_network():
    """ML-Net as an nn.Module: [b, 3, h, w] -> [b, 1, h / 8, w / 8]."""
    import torch
    from torch import nn
    from torch.nn import functional

    class MlNet(nn.Module):
        """VGG16's blocks, three of whose maps are read, and the prior."""

        def __init__(self):
            super().__init__()
            self.blocks, before = nn.ModuleList(), 3
            for filters in VGG16:
                layers = []
                for after in filters:
                    layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
                    before = after
                self.blocks.append(nn.Sequential(*layers))
            self.drop = nn.Dropout(0.5)
            self.features, self.one = nn.Conv2d(1280, 64, 3, padding=1), nn.Conv2d(64, 1, 1)
            self.prior = nn.Parameter(torch.zeros(1, 1, *PRIOR))

        def forward(self, x):
            for block in self.blocks[:3]:
                x = functional.max_pool2d(block(x), 2)
            pool3 = x
            pool4 = functional.max_pool2d(functional.pad(self.blocks[3](x), (0, 1, 0, 1)), 2, 1)
            x = self.drop(torch.cat([pool3, pool4, self.blocks[4](pool4)], 1))
            x = functional.relu(self.one(functional.relu(self.features(x))))
            prior = functional.interpolate(1 + self.prior, size=x.shape[2:], mode="bilinear")
            return functional.relu(x * prior)

    return MlNet()


def torch(batch: int, compiled: bool = False, bf16: bool = False):
    """PyTorch, on a GPU where it sees one; in the faster of its two memory formats, which it tries first."""
    import torch

    device = torch_device()
    images = torch.tensor(random_images(batch).transpose(0, 3, 1, 2), device=device)

    def made(layout):
        model = torch_network().to(device, memory_format=layout).eval()
        x = images.contiguous(memory_format=layout)
        forward = torch.compile(model) if compiled else model

        def run():
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                return forward(x).float().cpu().numpy()

        return run

    run, layout = faster({str(f).split(".")[-1]: f for f in layouts(torch)}, made)
    return run, f"{torch_words(device)}, {layout}"


def torch_compiled(batch: int):
    """PyTorch through torch.compile, in bfloat16 by autocast."""
    return torch(batch, compiled=True, bf16=True)


CONTESTANTS = {
    "ferjax": ferjax,
    "torch": torch,
    "ferjax-bf16": ferjax_bf16,
    "torch-bf16": torch_compiled,
}
