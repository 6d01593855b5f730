"""Memory that XLA on CPU frees after every step and asks for again at the next."""

import ctypes
import sys

LARGE = 32 * 2**20  # bytes; the most that M_MMAP_THRESHOLD takes


def keep_freed_memory(large: bool = True) -> bool:
    """Makes the C library keep freed memory for the next allocation instead of giving it back to the system.

    XLA on CPU allocates its buffers anew in every step. glibc maps each block above 32 MB afresh, and the
    kernel then clears it page by page. Without that, inference of the 5x5 expression network at batch 128
    is about 1.5 times as fast and training about 1.1 times (2 busy cores). Call it once, early, in a
    program that runs steps of one size; the process then holds its peak memory to its end, and that peak is a
    quarter to a half higher: what is allocated between two steps breaks up the hole that a step's buffers
    leave. An accelerator's memory is not touched by this. It holds for the whole process, from the last call
    on: a study that trains gives large blocks back after its first training.

    Args:
      large: blocks of `LARGE` and more are kept, too. Without, only smaller ones are; nothing is broken up.
    Returns:
      Whether it took effect; False where the C library is not glibc.
    Source: mallopt(3): M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    m_trim_threshold, m_mmap_threshold, m_mmap_max, m_arena_max = -1, -3, -4, -8
    afresh = ((m_mmap_max, 0),) if large else ((m_mmap_max, 2**16), (m_mmap_threshold, LARGE))
    settings = (*afresh, (m_trim_threshold, 2**31 - 1), (m_arena_max, 1))
    return all([mallopt(name, value) == 1 for name, value in settings])


def give_back_memory() -> bool:
    """Gives the pages of freed memory back to the system, once; what is freed later is kept as before.

    Returns:
      Whether any was given back; False where the C library is not glibc.
    Source: malloc_trim(3).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return ctypes.CDLL(None).malloc_trim(0) == 1
    except AttributeError:
        return False
