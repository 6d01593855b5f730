"""Split -> batches, in an order that is a pure function of (seed, step).

A batch is cut into one contiguous share per process. The last of an epoch is padded and masked, so that every
example counts exactly once. Two ways give the same batches:

- `host_batches`: tf.data gathers the images on the host, ahead of the device.
- `row_batches` + `gather`: the host yields row numbers only, and the compiled step gathers the images from
  arrays that lie on the device (`resident`).

A batch is a dict: image uint8 [b, h, w, c], label int32 [b], aus int8 [b, u], subject int32 [b] (index into
Split.subjects, -1 unknown), id int32 [b] (row in the Split), mask bool [b].

TensorFlow is imported when `host_batches` is called, never before.
"""

import functools
import itertools
import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

from data_pipelines import BadInput
from data_pipelines.prepared import tensorflow
from data_pipelines.split import Split

_CHUNK = 2048  # steps whose rows are handed to tf.data at a time; 2.6 MB at 256 rows a step


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Batches that hold n examples, the last one perhaps padded."""
    return -(-n // batch_size)


@functools.lru_cache(maxsize=4)
def _order(n: int, seed: int, epoch: int) -> np.ndarray:
    """int32 [n]: the epoch's permutation, a stable sort of the raw words of Philox keyed by (seed, epoch).

    Raw words and stable sorting, because NumPy promises those alone to stay the same in later versions.
    """
    key = np.array([seed % 2**64, epoch], np.uint64)
    order = np.argsort(np.random.Philox(key=key).random_raw(n), kind="stable").astype(np.int32)
    order.flags.writeable = False
    return order


def batch_rows(
    n: int, batch_size: int, seed: int, step: int, shuffle: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one global batch.

    Args:
      n: examples; at least 1.
      batch_size: rows of the global batch, b; at least 1.
      seed: of the order.
      step: from 0, counted over all epochs.
      shuffle: a new order every epoch; else rows 0, 1, 2, ... in every epoch.

    Returns:
      (rows int32 [b], mask bool [b]). The last batch of an epoch is filled up with the epoch's first rows,
      masked False.

    Raises:
      ValueError: n, batch_size or step out of range.
    """
    if n < 1 or batch_size < 1 or step < 0:
        raise ValueError(f"n {n} and batch_size {batch_size} must be at least 1, step {step} at least 0")
    epoch, step = divmod(step, steps_per_epoch(n, batch_size))
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    mask = places < n
    rows = _order(n, seed, epoch)[places % n] if shuffle else (places % n).astype(np.int32)
    return rows, mask


def _share(batch_size: int, process_index: int, process_count: int) -> slice:
    """The process's contiguous slice of a global batch."""
    if batch_size % process_count:
        raise BadInput(
            f"batch_size {batch_size} does not divide among {process_count} processes; make it a multiple"
        )
    if not 0 <= process_index < process_count:
        raise ValueError(f"process_index {process_index} is not 0 to {process_count - 1}")
    size = batch_size // process_count
    return slice(process_index * size, (process_index + 1) * size)


def row_batches(
    n: int,
    batch_size: int,
    seed: int,
    first_step: int = 0,
    last_step: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
    shuffle: bool = True,
) -> Iterator[dict[str, np.ndarray]]:
    """Yields {id int32 [b], mask bool [b]} of steps first_step, ..., last_step - 1, for one process.

    Args:
      n: examples.
      batch_size: of the global batch; a process yields b = batch_size / process_count rows.
      seed: of the order.
      first_step: where to begin; resuming at step k needs nothing else.
      last_step: where to stop, not included; None goes on forever.
      process_index: this process.
      process_count: of all.
      shuffle: as in `batch_rows`. False with last_step = steps_per_epoch(n, batch_size) is an evaluation: the
        Split's order, every example exactly once under the mask.

    Raises:
      BadInput: batch_size does not divide among the processes. At once, not at the first batch.
    """
    share = _share(batch_size, process_index, process_count)
    steps = itertools.count(first_step) if last_step is None else range(first_step, last_step)

    def batches():
        for step in steps:
            rows, mask = batch_rows(n, batch_size, seed, step, shuffle)
            yield {"id": rows[share], "mask": mask[share]}

    return batches()


SMALL = 1 << 26  # bytes of images that `resident` may copy


def resident(split: Split) -> dict[str, np.ndarray]:
    """A Split as the arrays that `gather` reads; put them on the device once.

    Below `SMALL` bytes rows of zeros, which no number names, follow up to a round size, at most an eighth
    more: so the folds of a set, of nearly equal sizes, share compiled programs.

    Returns:
      image uint8 [m, h, w, c], label int32 [m], aus int8 [m, u], subject int32 [m], m >= n.
    """
    found, n = _columns(split), len(split.label)
    unit = 1 << max(n.bit_length() - 4, 0)
    more = -n % unit
    if not more or split.image.nbytes > SMALL:
        return found
    return {key: np.pad(a, [(0, more)] + [(0, 0)] * (a.ndim - 1)) for key, a in found.items()}


def _columns(split: Split) -> dict[str, np.ndarray]:
    return {"image": split.image, "label": split.label, "aus": split.aus, "subject": split.subject_code}


def gather(resident: Mapping, batch: Mapping) -> dict:
    """Fills {id, mask} up to a whole batch; inside jit or outside.

    Args:
      resident: as of `resident`, on the device.
      batch: {id int32 [b], mask bool [b]}, of `row_batches`; ids must be rows of the Split.

    Returns:
      The batch, of JAX arrays.
    """
    import jax.numpy as jnp

    ids = jnp.asarray(batch["id"])
    found = {key: jnp.asarray(array).at[ids].get(mode="promise_in_bounds") for key, array in resident.items()}
    return {**found, "id": ids, "mask": jnp.asarray(batch["mask"])}


class host_batches:  # noqa: N801 (used like a function)
    """Iterates over whole batches of NumPy arrays, gathered by tf.data ahead of time; use it in a `with`.

        with host_batches(split, 128, seed=0, first_step=0, last_step=100) as batches:
            for batch in batches: ...

    `close()`, or leaving the `with`, releases tf.data's iterator: a live one aborts the interpreter at its
    end (so it is also closed there). Arguments as of `row_batches`, with the Split in the place of n.

    Args:
      prefetch: batches made ahead.

    Raises:
      BadInput: batch_size does not divide among the processes, or TensorFlow is not installed.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        first_step: int = 0,
        last_step: int | None = None,
        process_index: int = 0,
        process_count: int = 1,
        shuffle: bool = True,
        prefetch: int = 2,
    ):
        rows = row_batches(
            len(split), batch_size, seed, first_step, last_step, process_index, process_count, shuffle
        )
        try:
            tf = tensorflow()
        except ImportError:
            raise BadInput(
                "input.placement = host needs TensorFlow; install it, or set input.placement to device"
            ) from None
        self._live = [_tf_batches(tf, _columns(split), rows, prefetch)]
        self.close = weakref.finalize(self, _close, self._live)  # runs at exit, too

    def __iter__(self) -> "host_batches":  # noqa: D105
        return self

    def __next__(self) -> dict[str, np.ndarray]:  # noqa: D105
        if not self._live:
            raise StopIteration
        try:
            return next(self._live[0])
        except StopIteration:
            self.close()
            raise

    def __enter__(self) -> "host_batches":  # noqa: D105
        return self

    def __exit__(self, *_):  # noqa: D105
        self.close()


def _close(live: list) -> None:
    """Ends the generators, and with them the tf.data iterators that they hold."""
    while live:
        live.pop().close()


def _tf_batches(
    tf, arrays: Mapping[str, np.ndarray], rows: Iterator[Mapping], prefetch: int
) -> Iterator[dict]:
    """Batches by way of tf.data, a chunk of steps at a time.

    A chunk's rows are computed here, so that no Python runs inside tf.data. To begin a chunk takes 0.1 s and
    more, in which a fast accelerator would wait: a thread begins the next one while this one is read.
    """
    with tf.device("cpu"):
        tensors = {key: tf.convert_to_tensor(array) for key, array in arrays.items()}

    def whole(batch):
        return {**{key: tf.gather(tensor, batch["id"]) for key, tensor in tensors.items()}, **batch}

    options = tf.data.Options()
    options.deterministic = True

    def begin():
        chunk = list(itertools.islice(rows, _CHUNK))
        if not chunk:
            return None
        table = {key: np.stack([batch[key] for batch in chunk]) for key in ("id", "mask")}
        dataset = tf.data.Dataset.from_tensor_slices(table).map(whole, num_parallel_calls=2)
        return dataset.prefetch(prefetch).with_options(options).as_numpy_iterator()

    iterator = following = None
    with ThreadPoolExecutor(1) as ahead:
        try:
            following = ahead.submit(begin)
            while (iterator := following.result()) is not None:
                following = ahead.submit(begin)
                yield from iterator
        finally:
            wait([following])
            del iterator, following
