"""Files of weights, read as PyTorch and safetensors wrote them; what is wrong is one line, nothing runs."""

import hashlib
import io
import json
import os
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax import weights

torch = pytest.importorskip("torch")
FORMS = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}


def save(value, path, form="zip"):
    torch.save(value, path, **FORMS[form])
    return path


def refused(path, words, **options):
    with pytest.raises(BadInput, match=words) as e:
        weights.read(path, **options)
    assert "\n" not in str(e.value) and str(path) in str(e.value)
    return str(e.value)


def tensors():
    torch.manual_seed(0)
    base = torch.randn(6, 8)
    return OrderedDict(
        plain=torch.randn(3, 4),
        turned=base.t(),  # strides
        part=base[2:4, 1::3],  # an offset and strides, of the storage of `turned`
        repeated=torch.tensor([1.5, 2.5]).expand(3, 2),  # a stride of 0
        parameter=torch.nn.Parameter(torch.randn(2)),
        scalar=torch.tensor(7),
        empty=torch.zeros(0, 3),
        half=torch.randn(5).half(),
        brain=torch.randn(5).bfloat16(),
        double=torch.randn(2, dtype=torch.float64),
        **{
            f"{kind}".removeprefix("torch."): torch.tensor([-3, 0, 5]).to(kind)
            for kind in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
        },
    )


@pytest.mark.parametrize("form", FORMS)
def test_every_type_and_layout_as_pytorch_wrote_it(tmp_path, form):
    told = tensors()
    got, digest = weights.read(save(told, tmp_path / "w.pth", form))
    assert digest == hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    assert list(got) == list(told)
    for name, value in told.items():
        wanted = value.detach().float().numpy() if name == "brain" else value.detach().numpy()
        assert got[name].dtype == wanted.dtype and got[name].flags.c_contiguous, name
        np.testing.assert_array_equal(got[name], wanted, err_msg=name)


@pytest.mark.parametrize("form", FORMS)
def test_a_modules_state_dict_and_a_trainings_file(tmp_path, form):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    wanted = {name: value.numpy() for name, value in module.state_dict().items()}
    for i, value in enumerate([module.state_dict(), {"epoch": 3, "state_dict": module.state_dict()}]):
        got, _ = weights.read(save(value, tmp_path / f"{i}.pth", form))
        assert list(got) == list(wanted)
        assert all((got[name] == value).all() for name, value in wanted.items())


def test_a_file_written_on_a_big_endian_machine(tmp_path):
    wanted = np.arange(6, dtype=np.float32).reshape(2, 3)
    save({"w": torch.from_numpy(wanted.copy())}, tmp_path / "w.pth")
    swapped = {"byteorder": b"big", "data/0": wanted.astype(">f4").tobytes()}
    copied(tmp_path / "w.pth", tmp_path / "big.pth", swapped)
    np.testing.assert_array_equal(weights.read(tmp_path / "big.pth")[0]["w"], wanted)


def copied(old, new, changed, drop=(), **options):
    """A zip again, with members (named below its folder) of other content or left out."""
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(new, "w", **options) as out:
        for name in source.namelist():
            inner = name.partition("/")[2]
            if inner not in drop:
                out.writestr(name, changed.get(inner, source.read(name)))
    return new


def test_safetensors(tmp_path):
    from safetensors.torch import save_file

    told = {"a": torch.randn(2, 3), "b": torch.arange(4), "c": torch.randn(3).bfloat16()}
    save_file(told, tmp_path / "w.safetensors")
    got, _ = weights.read(tmp_path / "w.safetensors")
    for name, value in told.items():
        np.testing.assert_array_equal(got[name], value.float().numpy() if name == "c" else value.numpy())
    assert got["c"].dtype == np.float32


def test_the_content_tells_not_the_name(tmp_path):
    save({"a": torch.ones(2)}, tmp_path / "w.safetensors")
    assert list(weights.read(tmp_path / "w.safetensors")[0]) == ["a"]


class Runs:
    """A pickle of this one would leave a file behind when it is read."""

    def __init__(self, marker, how):
        self.marker, self.how = str(marker), how

    def __reduce__(self):
        plant = f"open({self.marker!r}, 'w').close()"
        inner = pickle.dumps(Runs(self.marker, "eval")) if self.how == "load" else b""
        return {
            "system": (os.system, (f"touch {self.marker}",)),
            "eval": (eval, (plant,)),
            "exec": (exec, (plant,)),
            "mkdir": (os.mkdir, (self.marker,)),
            "getattr": (getattr, ("", "join")),
            "load": (pickle.loads, (inner,)),
            "tensor": (torch.load, (self.marker,)),
        }[self.how]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ["system", "eval", "exec", "mkdir", "getattr", "load", "tensor"])
@pytest.mark.parametrize("where", ["whole", "value", "key", "nested", "attribute"])
def test_a_pickle_that_would_run_code_is_refused_and_nothing_runs(tmp_path, form, how, where):
    marker = tmp_path / "ran"
    evil, table = Runs(marker, how), OrderedDict(w=torch.ones(2))
    table._metadata = {"version": evil} if where == "attribute" else {}
    told = {
        "whole": evil,
        "value": OrderedDict(w=torch.ones(2), x=evil),
        "key": {"w": torch.ones(2), ("x", evil): 1},
        "nested": {"state_dict": table, "optimizer": [{"deep": (1, evil)}]},
        "attribute": table,
    }[where]
    said = refused(save(told, tmp_path / "w.pth", form), "refused, and nothing of it was run")
    assert not marker.exists()
    wanted = {"system": r"posix.system", "load": "loads", "tensor": "torch.serialization.load"}.get(how, how)
    assert wanted in said


def test_the_same_pickles_do_run_code_where_they_are_let(tmp_path):
    """So that the marker's absence above means something."""
    for how in ("system", "eval", "exec", "mkdir", "load"):
        pickle.loads(pickle.dumps(Runs(tmp_path / how, how)))
        assert (tmp_path / how).exists()


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4])
def test_every_pickle_of_the_former_form_is_read_so(tmp_path, place):
    """Magic number, version, machine, tensors, keys: each may be the one that would run code."""
    marker = tmp_path / "ran"
    parts = [0x1950A86A20F9469CFC6C, 1001, {}, {}, []]
    parts[place] = Runs(marker, "eval")
    (tmp_path / "w.pth").write_bytes(b"".join(pickle.dumps(p, 2) for p in parts))
    refused(tmp_path / "w.pth", "nothing of it was run")
    assert not marker.exists()


def test_other_pickles_in_the_zip_are_not_read(tmp_path):
    save({"w": torch.ones(2)}, tmp_path / "w.pth")
    evil = pickle.dumps(Runs(tmp_path / "ran", "eval"), 2)
    with zipfile.ZipFile(tmp_path / "w.pth", "a") as file:
        file.writestr("w/other/data.pkl", evil)
        file.writestr("w/extra.pkl", evil)
    assert list(weights.read(tmp_path / "w.pth")[0]) == ["w"]
    assert not (tmp_path / "ran").exists()
    copied(tmp_path / "w.pth", tmp_path / "x.pth", {"data/0": evil})  # nor is one in the place of values
    weights.read(tmp_path / "x.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "code",
    [
        # what is allowed cannot be changed: BUILD on the function, on the tensor, on its storage's type
        b"ctorch._utils\n_rebuild_tensor_v2\n(N}X\x04\x00\x00\x00makecbuiltins\neval\nsbt.",
        b"ctorch._utils\n_rebuild_tensor_v2\n(N}X\x04\x00\x00\x00makeNstb.",
        b"ctorch\nFloatStorage\n}X\x04\x00\x00\x00nameX\x02\x00\x00\x00f8sb.",
        # nor is more of torch there, or a dotted way out of it
        b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n.",
        b"ctorch\nUntypedStorage\n.",
        b"ctorch.hub\nload\n.",
        b"ccollections\nOrderedDict.fromkeys\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",  # STACK_GLOBAL
        b"ios\nsystem\n(.",  # INST
        b"\x82\x01.",  # an extension's code
    ],
)
def test_forged_pickles(tmp_path, code):
    save({"w": torch.ones(2)}, tmp_path / "w.pth")
    copied(tmp_path / "w.pth", tmp_path / "x.pth", {"data.pkl": code})
    refused(tmp_path / "x.pth", "refused|damaged")


def forged(tmp_path, size=4, offset=0, shape=(2, 2), strides=(2, 1)):
    """A zip whose one tensor says this of a storage of four values."""

    class Kind:
        """The storage's type, by its name."""

    class Tensor:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (torch.FloatStorage, offset, shape, strides, False, {})

    class Pickler(pickle._Pickler):  # the one in Python, which can be told how to write a class
        dispatch = pickle._Pickler.dispatch | {Kind: lambda self, _: self.write(b"ctorch\nFloatStorage\n")}

        def persistent_id(self, value):
            return ("storage", Kind(), "0", "cpu", size) if value is torch.FloatStorage else None

    save({"w": torch.ones(4)}, tmp_path / "base.pth")
    out = io.BytesIO()
    Pickler(out, 2).dump({"w": Tensor()})
    return copied(tmp_path / "base.pth", tmp_path / "w.pth", {"data.pkl": out.getvalue()})


def test_a_tensor_outside_of_its_storage_is_refused(tmp_path):
    np.testing.assert_array_equal(weights.read(forged(tmp_path))[0]["w"], np.ones((2, 2), np.float32))
    for wrong in (
        {"offset": 1},
        {"offset": -1},
        {"strides": (3, 1)},
        {"strides": (-1, 1)},
        {"shape": (2, 3)},
        {"shape": (1 << 40, 1), "strides": (0, 0)},
        {"shape": (2,)},
        {"shape": ("2", 2)},
        {"size": 5},
        {"size": True},
    ):
        refused(forged(tmp_path, **wrong), "damaged, cut off")


@pytest.mark.parametrize("form", [*FORMS, "safetensors"])
def test_a_file_cut_off_anywhere_is_one_line(tmp_path, form):
    path = tmp_path / "w.pth"
    if form == "safetensors":
        from safetensors.torch import save_file

        save_file({"w": torch.ones(5, 5), "b": torch.ones(5)}, path)
    else:
        save({"w": torch.ones(5, 5), "b": torch.ones(5)}, path, form)
    whole = path.read_bytes()
    for share in (0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        refused(path, "damaged|is no file of weights")


def test_what_is_no_file_of_weights(tmp_path):
    path = tmp_path / "w.pth"
    for content in (
        b"",
        b"x",
        b"<html>not found</html>",
        b"\x00" * 64,
        b"\x80",
        b"PK\x05\x06" + b"\x00" * 18,
    ):
        path.write_bytes(content)
        refused(path, "is no file of weights")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("word/document.xml", "<a/>")
    refused(path, r"a zip without PyTorch's data\.pkl")
    path.write_bytes(pickle.dumps({"w": 1}, 2))
    refused(path, "a pickle, but no file of weights")
    path.write_bytes(struct.pack("<Q", 1 << 60) + b'{"a":1}')
    refused(path, "damaged")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    refused(path, "TorchScript")
    for form in FORMS:
        refused(save(torch.nn.Linear(2, 2), path, form), r"asks for torch\.nn\.modules.*state_dict")
        refused(save({"a": torch.ones(1), "b": 3}, path, form), "'b' is no tensor")
        refused(save([torch.ones(1)], path, form), "no table of tensors")
        refused(save({}, path, form), "no table of tensors")


def test_what_stands_twice(tmp_path):
    save({"w": torch.ones(2)}, tmp_path / "w.pth")
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "w.pth", "a") as file:
        warnings.simplefilter("ignore")
        file.writestr("w/data/0", b"\x00" * 8)
    refused(tmp_path / "w.pth", "two of its members have one name")
    header = b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],'
    header += b'"data_offsets":[1,2]}}'
    (tmp_path / "s").write_bytes(struct.pack("<Q", len(header)) + header + b"\x01\x02")
    refused(tmp_path / "s", "holds 'w' twice")
    # an ordered dictionary that is told one name two times
    code = b"ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00wNX\x01\x00\x00\x00wNu."
    save({"w": torch.ones(2)}, tmp_path / "w.pth")
    refused(copied(tmp_path / "w.pth", tmp_path / "x.pth", {"data.pkl": code}), "holds w twice")


def test_compressed_members_and_damaged_values(tmp_path):
    save({"w": torch.ones(200)}, tmp_path / "w.pth")
    packed = copied(tmp_path / "w.pth", tmp_path / "x.pth", {}, compression=zipfile.ZIP_DEFLATED)
    refused(packed, "compressed")
    refused(copied(tmp_path / "w.pth", tmp_path / "y.pth", {}, drop=["data/0"]), "storage 0 are missing")
    whole = bytearray((tmp_path / "w.pth").read_bytes())
    at = whole.index(struct.pack("<f", 1) * 50)
    whole[at + 100] ^= 1
    (tmp_path / "z.pth").write_bytes(whole)
    refused(tmp_path / "z.pth", "CRC")


def test_hashes(tmp_path):
    _, digest = weights.read(save({"w": torch.ones(2)}, tmp_path / "w.pth"))
    weights.read(tmp_path / "w.pth", digest[:12].upper())
    refused(tmp_path / "w.pth", f"begins with {digest[:8]}, and 12345678 is stated", sha256_prefix="12345678")
    (tmp_path / "w.pth").rename(tmp_path / f"net-{digest[:8]}.pth")
    weights.read(tmp_path / f"net-{digest[:8]}.pth")
    (tmp_path / f"net-{digest[:8]}.pth").rename(tmp_path / "net-0badc0de.pth")
    refused(tmp_path / "net-0badc0de.pth", "0badc0de is stated.*if these digits of its name are no hash")
    (tmp_path / "net-0badc0de.pth").rename(tmp_path / "net-2017-0801.pth")
    weights.read(tmp_path / "net-2017-0801.pth")  # a name that states no hash


def test_a_missing_file_says_where_its_owners_publish_it(tmp_path):
    refused(
        tmp_path / "alexnet-owt-7be5be79.pth", "no such file.*docs.pytorch.org/vision/stable/models/alexnet"
    )
    refused(tmp_path / "vgg.h5", "see their page.*fetches nothing", published="see their page")
    refused(tmp_path / "other.bin", "get it from its owners")
    (tmp_path / "folder.pth").mkdir()
    refused(tmp_path / "folder.pth", "is a folder")


def test_hdf5_goes_to_its_reader(tmp_path, monkeypatch):
    import sys
    import types

    reader = types.ModuleType("ferjax.weights.keras_file")
    reader.read = lambda path: {"layer": np.ones(3)}
    monkeypatch.setitem(sys.modules, "ferjax.weights.keras_file", reader)
    monkeypatch.setattr(weights, "keras_file", reader, raising=False)
    (tmp_path / "w.pkl").write_bytes(weights.HDF5 + b"\x00" * 20)
    assert list(weights.read(tmp_path / "w.pkl")[0]) == ["layer"]


def test_headers_of_safetensors_that_lie(tmp_path):
    for entry in ({"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}, {"dtype": "F9"}, 3):
        header = json.dumps({"w": entry}).encode()
        (tmp_path / "w").write_bytes(struct.pack("<Q", len(header)) + header + b"\x00" * 8)
        refused(tmp_path / "w", "damaged")
