"""The pieces of the benchmark of AlexNet and ML-Net: what is compared is the same, and the arithmetic."""

import jax
import numpy as np
import torch

from benchmarks import alexnet, big_networks, ml_net
from ferjax import config, models
from ferjax.models.ml_net import MlNet


def size(network) -> int:
    return sum(p.numel() for p in network.parameters())


def test_torch_networks_have_the_published_sizes_and_shapes():
    with torch.device("meta"):  # no memory
        assert size(alexnet.torch_network(1000)) == 61_100_840
        seven, maps = alexnet.torch_network(), ml_net.torch_network()
        assert seven(torch.zeros(2, 3, 224, 224)).shape == (2, 7)
        assert maps(torch.zeros(1, 3, 480, 640)).shape == (1, 1, 60, 80)
    # VGG16's convolutions, 3x3 from 1280 to 64, 1x1 to one, and the prior
    assert size(maps) == 14_714_688 + 9 * 1280 * 64 + 64 + 64 + 1 + 48


def count(model, *shape) -> int:
    made = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, "float32"))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(made["params"]))


def test_ferjax_has_the_same_alexnet():
    c = config.default()
    c.model.name = "alexnet"
    with torch.device("meta"):
        assert count(models.build(c.model, 7), 1, 224, 224, 3) == size(alexnet.torch_network())


def test_ferjax_has_the_same_ml_net():
    with torch.device("meta"):
        assert count(MlNet(), 1, 480, 640, 3) == size(ml_net.torch_network())


def test_the_faster_setting_is_taken():
    import time

    run, name = alexnet.faster({"slow": 0.02, "fast": 0.0}, lambda wait: lambda: time.sleep(wait) or wait)
    assert name == "fast" and run() == 0.0


def made_up(seconds, peak=100.0, gpu=None):
    return {"version": "1", "seconds": seconds, "peak_mb": peak, "gpu_mb": gpu}


def test_ratios_are_within_rounds():
    """Ours 2, 4 and 1 s, theirs 3, 4 and 3 s: ratios 1.5, 1 and 3, whose median is 1.5."""
    job = "alexnet"
    rounds = [
        {(job, "ferjax"): made_up([9, 2, 2]), (job, "torch"): made_up([3, 3, 3], 250.6, 20.2)},
        {(job, "ferjax"): made_up([4]), (job, "torch"): made_up([4], 240.0)},
        {(job, "ferjax"): made_up([1]), (job, "torch"): made_up([3])},
        {(job, "ferjax"): {"missing": "gone"}, (job, "torch"): {"missing": "gone"}},
    ]
    ours, theirs = big_networks.summarise(rounds, {job: 8})
    assert ours["images_per_s"] == {"median": 4, "low": 2, "high": 8}
    assert ours["ferjax_over_this"] == {"median": 1, "low": 1, "high": 1}
    assert theirs["ferjax_over_this"] == {"median": 1.5, "low": 1, "high": 3}
    assert theirs["peak_mb"] == 251 and theirs["gpu_mb"] == 20 and ours["gpu_mb"] is None
    text = big_networks.table([ours, theirs])
    assert "AlexNet, training" in text and "1.50 x (1.00-3.00)" in text and "4 (2-8)" in text
    alone = big_networks.summarise([{(job, "torch"): made_up([2])}], {job: 8})
    assert alone[0]["ferjax_over_this"] is None and big_networks.table(alone)


def test_what_cannot_be_imported_is_told(capsys, monkeypatch):
    def absent(batch):
        raise ImportError("No module named 'torch'")

    monkeypatch.setitem(big_networks.JOBS, "alexnet", {"torch": absent})
    big_networks.child("alexnet", "torch", 2, True)
    assert capsys.readouterr().out == '{"missing": "No module named \'torch\'"}\n'


def test_every_contestant_is_in_both_jobs():
    assert list(alexnet.CONTESTANTS) == list(ml_net.CONTESTANTS)
    assert set(big_networks.DEFAULT) < set(alexnet.CONTESTANTS) and set(big_networks.WORDS) == set(
        big_networks.JOBS
    )
