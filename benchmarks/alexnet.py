"""A training step of AlexNet in ferjax and in PyTorch, on random colour images of 224 pixels.

Each function takes a batch size and gives (run, version): `run` does one step and waits for it. Both have
torchvision's form (five convolutions, two hidden layers of 4,096, dropout 0.5), 7 logits, cross-entropy, and
SGD with Nesterov's momentum. Float32 products; on a GPU TF32, as is jax's default there. What a contestant
cannot import raises ImportError.
"""

import time

import numpy as np

from benchmarks.contestants import ferjax_training, random_images, torch_device, torch_words

SIDE, CLASSES = 224, 7
RATE, MOMENTUM = 1e-3, 0.9


def ferjax(batch: int, compute_dtype: str = "float32"):
    """AlexNet as `ferjax train` runs it."""
    from ferjax import config

    c = config.default()
    c.model.name, c.model.normalise, c.model.compute_dtype = "alexnet", "imagenet", compute_dtype
    c.optimizer.name, c.optimizer.learning_rate, c.optimizer.momentum = "sgd", RATE, MOMENTUM
    run, _, version = ferjax_training(c, *random_images(batch, SIDE, 3, CLASSES), CLASSES)
    return run, version


def ferjax_bf16(batch: int):
    """The same with bfloat16 products and float32 weights, as on an accelerator."""
    return ferjax(batch, "bfloat16")


def torch_network(outputs: int = CLASSES):
    """AlexNet in torchvision's form as an nn.Module: 61,100,840 parameters with 1,000 outputs."""
    from torch import nn

    layers = [nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)]
    layers += [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)]
    for before, after in ((192, 384), (384, 256), (256, 256)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
    layers += [nn.MaxPool2d(3, 2), nn.AdaptiveAvgPool2d(6), nn.Flatten()]
    for before in (9216, 4096):
        layers += [nn.Dropout(0.5), nn.Linear(before, 4096), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(4096, outputs))


def torch(batch: int, compiled: bool = False, bf16: bool = False):
    """PyTorch, on a GPU where it sees one; in the faster of its two memory formats, which it tries first."""
    import torch
    from torch.nn import functional

    device = torch_device()
    image, label = random_images(batch, SIDE, 3, CLASSES)
    image = torch.tensor((image.transpose(0, 3, 1, 2) / np.float32(255) - 0.45) / 0.225, device=device)
    label = torch.tensor(label, dtype=torch.int64, device=device)

    def made(layout):
        model = torch_network().to(device, memory_format=layout).train()
        x = image.contiguous(memory_format=layout)
        optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM, nesterov=True, fused=True)
        forward = torch.compile(model) if compiled else model

        def run():
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = functional.cross_entropy(forward(x), label)
            loss.backward()
            optimizer.step()
            if device.type == "cuda":
                torch.cuda.synchronize()

        return run

    run, layout = faster({str(f).split(".")[-1]: f for f in layouts(torch)}, made)
    return run, f"{torch_words(device)}, {layout}"


def torch_compiled(batch: int):
    """PyTorch through torch.compile, in bfloat16 by autocast."""
    return torch(batch, compiled=True, bf16=True)


def layouts(torch) -> tuple:
    """The memory formats that images may have."""
    return torch.channels_last, torch.contiguous_format


def faster(choices: dict, made, times: int = 2):
    """The one of several settings that runs fastest, after one run that warms up.

    Args:
      choices: name -> setting.
      made: setting -> function that runs once.
      times: runs that are timed; the shortest counts.
    Returns:
      the function of the fastest setting, its name.
    """
    best = None
    for name, choice in choices.items():
        run = made(choice)
        run()
        taken = []
        for _ in range(times):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
        if best is None or min(taken) < best[0]:
            best = (min(taken), run, name)
    return best[1:]


CONTESTANTS = {
    "ferjax": ferjax,
    "torch": torch,
    "ferjax-bf16": ferjax_bf16,
    "torch-bf16": torch_compiled,
}
