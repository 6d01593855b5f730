"""Wall time and memory of attributing every filter of the paper's network.

    python -m benchmarks.attribution                      # 10,000 images of 48x48, 448 filters
    python -m benchmarks.attribution --images 2500

One pass for the responses of all filters (maximum, mean, place), files on disk; then their statistics with 21
action units of 100 people (matches with 2,000 resamples and 20,000 permutations, AUC, average precision, KL
divergence and mutual information of every pair); then the nine strongest images of each filter with guided
backpropagation and deconvnet. Each size runs in a process of its own, with its own peak memory; what
an empty program with JAX takes is beside it. Weights and codes are random: time does not depend on them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks import rounds


def one(images: int) -> dict:
    """Attributes a random set and says what it took; `images` 0 only starts JAX."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from data_pipelines.split import Split
    from ferjax import config
    from ferjax.attribution import activations, pictures
    from ferjax.attribution.network import Network
    from ferjax.models import fer_cnn
    from ferjax.ops.memory import keep_freed_memory

    keep_freed_memory()
    c = config.default()
    model = fer_cnn.build(c.model, 8)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 48, 48, 1)))["params"]
    network = Network(model, params)
    out = {"images": images, "jax": jax.__version__}
    if images:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "images.npy"
            write_images(path, images)
            data = np.load(path, mmap_mode="r")
            with Sampled() as during:
                start = time.perf_counter()
                acts = activations.collect(network, data, batch_size=128, folder=Path(folder) / "acts")
                out["pass_s"] = time.perf_counter() - start
            out |= {f"pass_{kind}_mb": mb for kind, mb in during.peak.items()}
            with Sampled() as during:
                start = time.perf_counter()
                statistics(np.asarray(acts.maximum), data)
                out["statistics_s"] = time.perf_counter() - start
            out |= {f"statistics_{kind}_mb": mb for kind, mb in during.peak.items()}
            with Sampled() as during:
                start = time.perf_counter()
                n = np.arange(images)
                split = Split("noise", data, n * 0, np.zeros((images, 0), np.int8), n * 0, n, ("none",), ())
                pictures.top(network, acts, split, 9)
                out["pictures_s"] = time.perf_counter() - start
            out |= {f"pictures_{kind}_mb": mb for kind, mb in during.peak.items()}
    return {
        k: round(v, 1) if isinstance(v, float) else v
        for k, v in (out | {"peak_mb": rounds.peak_mb()}).items()
    }


def statistics(x, images) -> None:
    """What a study computes of one network's responses [q, j], with made-up codes, people and emotions."""
    import numpy as np

    from data_pipelines.split import Split
    from ferjax.attribution import matching, measure, units
    from ferjax.attribution.inputs import Inputs

    rng, q, u = np.random.default_rng(0), len(x), 21
    present = (rng.random((q, u)) < rng.uniform(0.05, 0.5, u)).astype(np.int8)
    subject, emotion = np.arange(q) % 100, rng.integers(-8, 8, q).clip(-1)
    names, people = tuple(f"AU{i:02d}" for i in range(u)), np.char.mod("S%03d", subject)
    ids = np.arange(q).astype(str)
    split = Split("noise", images, emotion, present, people, ids, tuple("abcdefgh"), names)
    inputs = Inputs(
        split, "made up", present, names, [], ((),) * u, ((),) * u, emotion, matching.halves(people), q
    )
    measure.matched(x, inputs, 4, 2000, 20_000, 0)
    for of_pairs in (units.auc, units.average_precision, units.kl_divergence, units.mutual_information):
        of_pairs(x, present)


def write_images(path: Path, n: int) -> None:
    """Uint8 [n, 48, 48, 1] of noise, written piece by piece."""
    import numpy as np

    file = np.lib.format.open_memmap(path, "w+", np.uint8, (n, 48, 48, 1))
    rng = np.random.default_rng(0)
    for start in range(0, n, 1000):
        part = file[start : start + 1000]
        part[...] = rng.integers(0, 256, part.shape)
    file.flush()


class Sampled:
    """Peak memory of this process by kind, looked at twenty times a second.

    RssAnon is what it holds itself; RssFile, mapped files, which the system takes back when it needs room.
    """

    def __init__(self):
        self.peak, self.stop = {"RssAnon": 0.0, "RssFile": 0.0}, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        """Begins to look."""
        self.thread.start()
        return self

    def __exit__(self, *_):
        """Ends it."""
        self.stop.set()
        self.thread.join()

    def run(self):
        """Until stopped."""
        while not self.stop.wait(0.05):
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in self.peak:
                    self.peak[name] = max(self.peak[name], int(rest.split()[0]) / 1024)


def main() -> None:
    """Runs each size by itself and prints, and writes, what it took (benchmarks/results/attribution.json)."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, nargs="*", default=[2500, 10_000])
    results = Path(__file__).parent / "results" / "attribution.json"
    parser.add_argument("--out", type=Path, default=results)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only is not None:
        print(json.dumps(one(args.only)))
        return
    rows = []
    for n in [0, *args.images]:
        command = [sys.executable, "-m", "benchmarks.attribution", "--only", str(n)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        rows.append(json.loads(said))
        print(rows[-1], flush=True)
    result = {"machine": rounds.machine(), "filters": 448, "runs": rows}
    rounds.write(args.out, result)


if __name__ == "__main__":
    main()
