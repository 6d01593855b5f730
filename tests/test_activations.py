"""The pass over a set against a loop; what it leaves on disk when it is stopped, changed or cut off."""

import json
import resource
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax.attribution import activations
from ferjax.attribution.network import Network
from ferjax.models.fer_cnn import FerCnn


def network(seed=0, size=16, normalise="scale", **changes):
    model = FerCnn(outputs=3, features=(4, 6), dense=8, conv="explicit", **changes)
    params = model.init(jax.random.key(seed), jnp.zeros((1, size, size, 1)))["params"]
    return Network(model, params, normalise=normalise)


def pictures(n, seed=0, size=16):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 1)).astype(np.uint8)


def by_loop(net, images, layers):
    """One image and one filter at a time."""
    out = {"maximum": [], "mean": [], "position": [], "features": []}
    for image in images:
        x = image[None].astype(np.float32) / 255
        if net.normalise == "standardise":
            x = (x - x.mean()) / np.sqrt(x.var() + 1e-6)
        acts = jax.tree.map(np.asarray, net(jnp.asarray(x)))
        maps = [acts[name][0][:, :, j] for name in layers for j in range(acts[name].shape[-1])]
        out["maximum"].append([m.max() for m in maps])
        out["mean"].append([m.mean() for m in maps])
        out["position"].append([int(m.reshape(-1).argmax()) for m in maps])
        out["features"].append(acts["dense/relu"][0])
    return {name: np.array(rows) for name, rows in out.items()}


def same(a, b):
    for name in ("maximum", "mean", "position", "features"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("normalise", ["scale", "standardise"])
@pytest.mark.parametrize("layers", [None, ("block2/conv", "block1/pool")])
def test_equals_a_loop(normalise, layers, tmp_path):
    net, images = network(normalise=normalise), pictures(11)
    wanted = by_loop(net, images, layers or ("block1/relu", "block2/relu"))
    for folder in (None, tmp_path):
        got = activations.collect(net, images, layers, batch_size=4, folder=folder)
        for name, values in wanted.items():
            a = getattr(got, name)
            assert a.shape == values.shape and a.dtype == (np.int32 if name == "position" else np.float32)
            np.testing.assert_allclose(a, values, rtol=1e-5, atol=1e-6, err_msg=name)


def test_names_the_filters():
    got = activations.collect(network(), pictures(3))
    assert got.layer.tolist() == ["block1/relu"] * 4 + ["block2/relu"] * 6
    assert got.filter.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5]
    assert got.size == {"block1/relu": (16, 16), "block2/relu": (8, 8)}
    assert got.of("block2/relu").tolist() == list(range(4, 10))


def test_first_of_equal_maxima():
    net = network()
    net.params["block1_conv"] = {"kernel": jnp.zeros((5, 5, 1, 4)), "bias": jnp.array([-1.0, 0, 1, 2])}
    got = activations.collect(net, pictures(5), ("block1/relu",))
    assert (got.position == 0).all()
    np.testing.assert_array_equal(got.maximum, np.tile([0.0, 0, 1, 2], (5, 1)))
    centre = jnp.zeros((5, 5, 1, 4)).at[2, 2].set(1)
    net.params["block1_conv"] = {"kernel": centre, "bias": jnp.zeros(4)}
    images = np.zeros((2, 16, 16, 1), np.uint8)
    images[0, 3, 7] = images[0, 9, 1] = images[1, 15, 15] = 200
    got = activations.collect(net, images, ("block1/relu",))
    assert got.position.tolist() == [[3 * 16 + 7] * 4, [255] * 4]
    np.testing.assert_allclose(got.mean[:, 0], [2 * 200 / 255 / 256, 200 / 255 / 256], rtol=1e-5)


def test_batch_size_changes_nothing():
    images = pictures(13)
    one = activations.collect(network(), images, batch_size=1)
    for batch_size in (5, 13, 64):
        other = activations.collect(network(), images, batch_size=batch_size)
        np.testing.assert_allclose(one.maximum, other.maximum, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(one.position, other.position)


def count_runs(monkeypatch):
    runs, inner = [], activations._pass
    monkeypatch.setattr(activations, "_pass", lambda *a: (runs.append(a[3].rows), inner(*a)))
    return runs


def test_read_again_only_where_nothing_changed(tmp_path, monkeypatch):
    runs, net, images = count_runs(monkeypatch), network(), pictures(9)
    first = activations.collect(net, images, folder=tmp_path)
    assert isinstance(first.maximum, np.memmap)
    same(first, activations.collect(net, images.copy(), folder=tmp_path))
    same(
        first,
        activations.collect(
            net.replace(head={"kernel": jnp.ones((8, 2)), "bias": jnp.zeros(2)}), images, folder=tmp_path
        ),
    )
    assert runs == [0]
    changed = images.copy()
    changed[8, 15, 15] ^= 1
    others = [
        (network(seed=1), images, None),
        (net, changed, None),
        (net, images[:8], None),
        (net, images, ("block2/relu",)),
        (net.replace(normalise="standardise"), images, None),
    ]
    for n, (other, data, layers) in enumerate(others, 2):
        got = activations.collect(other, data, layers, folder=tmp_path)
        same(got, activations.collect(other, data, layers))
        assert len(runs) == 2 * n - 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "activations.json",
        "features.npy",
        "maximum.npy",
        "mean.npy",
        "position.npy",
    ]


def test_files_of_another_pass_stay_readable_to_who_has_them_open(tmp_path):
    images = pictures(9)
    first = activations.collect(network(), images, folder=tmp_path)
    before = np.array(first.maximum)
    activations.collect(network(seed=1), images[:2], folder=tmp_path)
    np.testing.assert_array_equal(first.maximum, before)


@pytest.mark.parametrize("cut", ["nothing", "rows", "marker", "key", "file"])
def test_an_interrupted_pass_goes_on_or_begins_again(tmp_path, monkeypatch, cut):
    net, images = network(), pictures(20)
    monkeypatch.setattr(activations, "SAVE_EVERY", -1)
    inner, steps = activations._reduced, []

    def interrupted(*args, **more):
        if len(args) > 1 and isinstance(args[1], np.ndarray):
            steps.append(0)
            if len(steps) == 4:
                raise KeyboardInterrupt
        return inner(*args, **more)

    monkeypatch.setattr(activations, "_reduced", interrupted)
    with pytest.raises(KeyboardInterrupt):
        activations.collect(net, images, batch_size=4, folder=tmp_path)
    monkeypatch.setattr(activations, "_reduced", inner)
    assert not (tmp_path / "activations.json").exists()
    begun = tmp_path / "activations_begun.json"
    rows = json.loads(begun.read_text())["rows"]
    assert rows == 4  # two steps were still in flight
    if cut == "rows":  # more was written than the marker vouches for
        with open(tmp_path / "mean.npy", "ab") as f:
            f.write(b"torn")
    elif cut == "marker":
        begun.write_text("{")
    elif cut == "key":
        begun.write_text(begun.read_text().replace('"key": "', '"key": "0'))
    elif cut == "file":
        (tmp_path / "position.npy").write_bytes(b"")
    runs = count_runs(monkeypatch)
    same(
        activations.collect(net, images, batch_size=4, folder=tmp_path),
        activations.collect(net, images, batch_size=4),
    )
    assert runs[0] == (rows if cut in ("nothing", "rows") else 0)
    assert not begun.exists()


def test_a_finished_pass_whose_files_were_damaged_is_done_again(tmp_path, monkeypatch):
    net, images = network(), pictures(6)
    activations.collect(net, images, folder=tmp_path)
    (tmp_path / "mean.npy").unlink()
    runs = count_runs(monkeypatch)
    got = activations.collect(net, images, folder=tmp_path)
    assert runs == [0]
    same(got, activations.collect(net, images))


def test_refuses(tmp_path):
    net, images = network(), pictures(3)
    with pytest.raises(BadInput, match="layer 'block9/relu' is no map of this network; it has block1/conv, "):
        activations.collect(net, images, ("block9/relu",))
    with pytest.raises(BadInput, match="'dense/relu' is no map"):
        activations.collect(net, images, ("dense/relu",))
    with pytest.raises(BadInput, match="named twice"):
        activations.collect(net, images, ("block1/relu", "block1/relu"))
    with pytest.raises(BadInput, match="no layer is named"):
        activations.collect(net, images, ())
    with pytest.raises(BadInput, match="no image"):
        activations.collect(net, images[:0])
    with pytest.raises(ValueError, match="not uint8"):
        activations.collect(net, images.astype(np.float32))
    with pytest.raises(ValueError, match="batch_size is 0"):
        activations.collect(net, images, batch_size=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="file"):
        activations.collect(net, images, folder=tmp_path / "file")
    net.params["dense"]["bias"] = jnp.full(8, jnp.nan)
    with pytest.raises(BadInput, match="dense/relu is not finite on input 0"):
        activations.collect(net, images)
    net.params["block2_conv"]["bias"] = jnp.full(6, jnp.inf)
    with pytest.raises(BadInput, match="block2/relu is not finite on input 0"):
        activations.collect(net, images, folder=tmp_path / "new")
    assert not (tmp_path / "new" / "activations.json").exists()


def test_the_hash_is_the_same_in_another_process():
    code = (
        "import sys; sys.path.insert(0, 'tests'); import test_activations as t;"
        "print(t.activations.network_hash(t.network()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == activations.network_hash(network())
    assert activations.network_hash(network()) != activations.network_hash(network(seed=1))


def test_memory_does_not_grow_with_the_set(tmp_path):
    """The maps of the 6,144 more inputs would be 70 MB."""
    net = network()
    images = np.lib.format.open_memmap(tmp_path / "i.npy", "w+", np.uint8, (8192, 16, 16, 1))
    activations.collect(net, images[:2048], folder=tmp_path / "a", batch_size=64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    activations.collect(net, images, folder=tmp_path / "b", batch_size=64)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 12_000  # KiB
