"""Eight CPU devices for every test; no GPU, no network; what is compiled twice is compiled once."""

import os
import shutil
import tempfile

import pytest

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["MPLBACKEND"] = "Agg"

_compiled = tempfile.TemporaryDirectory(prefix="ferjax-compiled-")  # goes with this process
os.environ["JAX_COMPILATION_CACHE_DIR"] = _compiled.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """experiment.py, its data in set/, and a run of one epoch (steps 1 to 3) in trained/."""
    import cli
    import runs

    folder = tmp_path_factory.mktemp("main")
    runs.write_config(folder / "experiment.py", runs.write_set(folder / "set"))
    assert cli.main([*cli.train_words(folder, folder / "trained"), "--config.train.epochs=1"]) == 0
    return folder


@pytest.fixture
def trained(place, tmp_path):
    """A copy of the run, to break."""
    return shutil.copytree(place / "trained", tmp_path / "trained")
