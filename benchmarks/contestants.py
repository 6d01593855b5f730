"""The expression network's training step and inference in ferjax, Keras and PyTorch, on random images.

Each function takes a batch size and gives (train, infer, version): two functions that run one step and wait
for it. All have 5x5 convolutions of 64, 128 and 256 filters, each with ReLU and 2x2 pooling, dropout 0.25, a
dense layer of 512, dropout 0.5, 8 logits; float32, Adam. What a contestant cannot import raises ImportError.
"""

import numpy as np

SIDE, CLASSES = 48, 8


def random_images(
    batch: int, side: int = SIDE, channels: int = 1, classes: int = CLASSES
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [batch, side, side, channels] and int32 labels [batch]."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (batch, side, side, channels), dtype=np.uint8)
    return image, rng.integers(0, classes, batch, dtype=np.int32)


def ferjax_training(c, image: np.ndarray, label: np.ndarray, classes: int, per_host: int = 1):
    """What `ferjax train` runs: images gathered by row, flipped and normalised in the step, metrics, pmap.

    Args:
      c: config; its batch size is that of the images.
      image, label: as of `random_images`.
      classes: how many.
      per_host: devices of this process, 0 for all; several processes share the batch.
    Returns:
      (one step, inference, version).
    """
    import jax

    from data_pipelines import arrays, input
    from ferjax import evaluate, models, tasks, train
    from ferjax.ops import keep_freed_memory
    from ferjax.parallel import Devices

    keep_freed_memory(c.parallel.keep_memory)
    batch = c.input.batch_size = c.evaluate.batch_size = len(image)
    split = arrays.Split(
        name="random/train",
        image=image,
        label=label,
        aus=np.zeros((batch, 0), np.int8),
        subject=np.array([""] * batch),
        id=np.array([str(i) for i in range(batch)]),
        classes=tuple(f"class {i}" for i in range(classes)),
        au_names=(),
    )
    devices = Devices(c.parallel.mode, batch, per_host)
    model = models.build(c.model, classes)
    state = devices.init(lambda: train.init_state(c, model, image.shape[1:]))
    weights = np.ones(classes, np.float32)
    step = devices.compile(train.make_train_step(c, model, 100, tasks.of(c, split), weights), donate=True)
    forward = evaluate.Predictor(c, model, devices, views=1).forward
    resident = devices.put(input.resident(split))
    mine = np.split(np.arange(batch, dtype=np.int32), devices.processes)[devices.process]
    rows = {"id": mine, "mask": np.ones(len(mine), bool)}

    def run():
        nonlocal state
        state, _ = step(state, rows, resident)
        jax.block_until_ready(state)

    def infer():
        return forward(state.params, rows, resident)

    return run, infer, f"jax {jax.__version__} on {devices.describe()}"


def ferjax(batch: int, compute_dtype: str = "float32"):
    """The paper's network as `ferjax train` runs it by default."""
    from ferjax import config

    c = config.default()
    c.model.compute_dtype = compute_dtype
    return ferjax_training(c, *random_images(batch), CLASSES)


def ferjax_bf16(batch: int):
    """The same with bfloat16 products and float32 weights, as on an accelerator."""
    return ferjax(batch, "bfloat16")


def keras(batch: int, jit_compile: bool | str = False):
    """Keras on TensorFlow with oneDNN kernels; batches lie ready as tensors."""
    import keras
    import tensorflow as tf

    layers = keras.layers
    stack = [layers.Input((SIDE, SIDE, 1))]
    for filters in (64, 128, 256):
        stack += [layers.Conv2D(filters, 5, padding="same", activation="relu"), layers.MaxPooling2D()]
    stack += [layers.Dropout(0.25), layers.Flatten(), layers.Dense(512, activation="relu")]
    model = keras.Sequential([*stack, layers.Dropout(0.5), layers.Dense(CLASSES)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=jit_compile)
    image, label = random_images(batch)
    image, label = tf.constant(image / np.float32(255)), tf.constant(label)
    forward = tf.function(lambda x: tf.nn.softmax(model(x, training=False)), jit_compile=bool(jit_compile))
    versions = f"{keras.__version__}, TensorFlow {tf.__version__}"
    return lambda: model.train_on_batch(image, label), lambda: forward(image).numpy(), versions


def keras_auto(batch: int):
    """Keras as its default, jit_compile="auto", sets it: compiled by XLA."""
    return keras(batch, "auto")


def torch(batch: int, compiled: bool = False, bf16: bool = False):
    """PyTorch, channels last, on a GPU where it sees one; batches lie ready as tensors on its device."""
    import torch

    nn = torch.nn
    device = torch_device()
    gpu = device.type == "cuda"
    stack, channels = [], 1
    for filters in (64, 128, 256):
        stack += [nn.Conv2d(channels, filters, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
        channels = filters
    stack += [nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 512), nn.ReLU(), nn.Dropout(0.5)]
    model = nn.Sequential(*stack, nn.Linear(512, CLASSES)).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), fused=gpu)
    image, label = random_images(batch)
    image = torch.tensor(image.transpose(0, 3, 1, 2) / np.float32(255))
    image = image.to(device, memory_format=torch.channels_last)
    label = torch.tensor(label, dtype=torch.int64, device=device)
    forward = torch.compile(model) if compiled else model
    products = torch.autocast(device.type, torch.bfloat16, enabled=bf16)

    def run():
        model.train()
        optimizer.zero_grad()
        with products:
            loss = nn.functional.cross_entropy(forward(image), label)
        loss.backward()
        optimizer.step()
        if gpu:
            torch.cuda.synchronize()

    def infer():
        model.eval()
        with torch.inference_mode(), products:
            return forward(image).softmax(1).float().cpu().numpy()

    return run, infer, torch_words(device)


def torch_compiled(batch: int):
    """PyTorch through torch.compile, in bfloat16 by autocast."""
    return torch(batch, compiled=True, bf16=True)


def torch_device():
    """Where PyTorch runs, with TF32 allowed where there is a GPU, as is jax's default there."""
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


ALL = {
    "ferjax": ferjax,
    "keras": keras,
    "keras-auto": keras_auto,
    "torch": torch,
    "ferjax-bf16": ferjax_bf16,
    "torch-bf16": torch_compiled,
}
DEFAULT = ("ferjax", "keras", "keras-auto", "torch")
"""Those worth running on a CPU; the bfloat16 pair is for accelerators."""
