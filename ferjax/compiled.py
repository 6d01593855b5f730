"""Compiled programs, kept on disk from one command to the next, and how long compiling took."""

import hashlib
import importlib.util
import os
import pathlib
import platform

import jax

CACHE = "~/.cache/ferjax/compiled"
ROOM = 2 * 2**30  # bytes; what was not used for longest goes first
_SECONDS = {"compiling": 0.0}
_STAGES = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


def keep() -> pathlib.Path | None:
    """Has jax keep what it compiles in `CACHE`, in a folder of this kind of processor.

    A program compiled for one processor can end another with an illegal instruction, and home folders are
    shared. `JAX_COMPILATION_CACHE_DIR` names another folder, `JAX_ENABLE_COMPILATION_CACHE=0` keeps nothing.

    Returns:
      The folder, or None where the environment decides.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR") or not jax.config.jax_enable_compilation_cache:
        return None
    folder = pathlib.Path(CACHE).expanduser() / _processor()
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if importlib.util.find_spec("filelock"):  # without it jax cannot bound what it keeps
        jax.config.update("jax_compilation_cache_max_size", ROOM)
    return folder


def _processor() -> str:
    """A name for processors that run the same programs."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        flags = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        flags = platform.processor()
    return f"{platform.machine()}-{hashlib.sha256(flags.encode()).hexdigest()[:12]}"


def _heard(event: str, seconds: float, **_) -> None:
    if event in _STAGES:
        _SECONDS["compiling"] += seconds


jax.monitoring.register_event_duration_secs_listener(_heard)


def seconds() -> float:
    """Seconds this process has spent on compiling, or on finding what was kept, since `ferjax.compiled` came.

    Tracing and lowering count; programs compiled side by side count each.
    """
    return _SECONDS["compiling"]
