"""A training step of AlexNet in ferjax and in PyTorch, on random colour images of 224 pixels.

Each function takes a batch size and gives (run, version): `run` does one step and waits for it. Both have
torchvision's form (five convolutions, two hidden layers of 4,096, dropout 0.5), 7 logits, cross-entropy, and
SGD with Nesterov's momentum. Float32 products; on a GPU TF32, as is jax's default there. What a contestant
cannot import raises ImportError.
"""

import time

import numpy as np

SIDE, CLASSES = 224, 7
RATE, MOMENTUM = 1e-3, 0.9


def random_images(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [batch, 224, 224, 3] and int32 labels [batch]."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (batch, SIDE, SIDE, 3), dtype=np.uint8)
    return image, rng.integers(0, CLASSES, batch, dtype=np.int32)


def ferjax(batch: int, compute_dtype: str = "float32"):
    """What `ferjax train` runs: images gathered by row, flipped and normalised in the step, metrics, pmap."""
    import jax

    from data_pipelines import arrays, input
    from ferjax import config, models, tasks, train
    from ferjax.ops import keep_freed_memory
    from ferjax.parallel import Devices

    keep_freed_memory()
    c = config.default()
    c.input.batch_size = batch
    c.model.name, c.model.normalise, c.model.compute_dtype = "alexnet", "imagenet", compute_dtype
    c.optimizer.name, c.optimizer.learning_rate, c.optimizer.momentum = "sgd", RATE, MOMENTUM
    image, label = random_images(batch)
    split = arrays.Split(
        name="random/train",
        image=image,
        label=label,
        aus=np.zeros((batch, 0), np.int8),
        subject=np.array([""] * batch),
        id=np.array([str(i) for i in range(batch)]),
        classes=tuple(f"class {i}" for i in range(CLASSES)),
        au_names=(),
    )
    devices = Devices(c.parallel.mode, batch, 1)
    model = models.build(c.model, CLASSES)
    state = devices.init(lambda: train.init_state(c, model, image.shape[1:]))
    weights = np.ones(CLASSES, np.float32)
    step = devices.compile(train.make_train_step(c, model, 100, tasks.of(c, split), weights), donate=True)
    resident = devices.put(input.resident(split))
    rows = {"id": np.arange(batch, dtype=np.int32), "mask": np.ones(batch, bool)}

    def run():
        nonlocal state
        state, _ = step(state, rows, resident)
        jax.block_until_ready(state)

    return run, f"jax {jax.__version__} on {devices.describe()}"


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
    image, label = random_images(batch)
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


def torch_device():
    """Where PyTorch runs, with TF32 allowed where there is a GPU."""
    import torch

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.benchmark = True  # the fastest algorithm, found once
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def torch_words(device) -> str:
    """PyTorch's version and device."""
    import torch

    where = (
        torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    )
    return f"torch {torch.__version__} on {where}"


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
