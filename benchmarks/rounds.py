"""Rounds of contestants, each in a process of its own, and how they are told.

In each round every contestant runs once, one after the other, so that neither memory nor threads are shared
and a busy spell of the machine meets all alike. Ratios are taken within a round.
"""

import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence


def measure(run: Callable, seconds: float, least: int) -> list[float]:
    """Seconds of each repetition, after two that warm up.

    Args:
      run: does the work once.
      seconds: repeats for so long,
      least: and so often at least.
    """
    run(), run()
    times, begin = [], time.perf_counter()
    while len(times) < least or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def peak_mb() -> float:
    """The most memory that this process held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def spawn(module: str, *words) -> dict:
    """The JSON object that `python -m module --child words...` printed last, or {"missing": why}."""
    done = subprocess.run(
        [sys.executable, "-m", module, "--child", *map(str, words)], capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        return {"missing": f"failed with status {done.returncode}: {last}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def machine() -> dict:
    """What the numbers were measured on."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as f:
            models = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
        name = models[0] if models else name
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def run(count: int, runs: Mapping[tuple, Callable[[], dict]], named: Callable[[tuple], str]) -> dict:
    """All rounds.

    Args:
      count: rounds.
      runs: key -> what gives a contestant's result, {"version": ...} and more, or {"missing": why}.
      named: key -> who that is; one who is missing once is not asked again.
    Returns:
      {"rounds": [{key: result}], "missing": name -> why, "versions": name -> version, "machine": facts}.
    """
    rounds, missing, versions, load = [], {}, {}, os.getloadavg()[0]  # above 0.5 or so: others work here too
    for i in range(count):
        rounds.append({})
        for key, contestant in runs.items():
            name = named(key)
            if name in missing:
                continue
            said = f"\rround {i + 1} of {count}: {', '.join(map(str, key))}    "
            print(said, end="", file=sys.stderr, flush=True)
            result = rounds[-1][key] = contestant()
            if "missing" in result:
                missing[name] = result["missing"]
            else:
                versions[name] = result["version"]
    print(file=sys.stderr)
    about = machine() | {"load_before": load, "load_after": os.getloadavg()[0]}
    return {"rounds": rounds, "missing": missing, "versions": versions, "machine": about}


def tell(found: Mapping, rows: Sequence[Mapping], table: str, out: pathlib.Path | None) -> None:
    """Prints the table and what it was measured on, and writes a JSON file unless `out` is None."""
    about, count = found["machine"], len(found["rounds"])
    load = f"load before {about['load_before']:.1f}"
    print(f"{about['cpu']}, {about['cores']} cores, {about['system']}; {load}")
    print(f"median of {count} rounds (lowest-highest)")
    print("\n".join(f"{name}: {version}" for name, version in found["versions"].items()))
    print(table)
    for name, why in found["missing"].items():
        print(f"{name}: not measured, {why}")
    if out:
        whole = {key: found[key] for key in ("machine", "versions", "missing")}
        write(out, {**whole, "rounds": count, "rows": list(rows)})


def write(out: pathlib.Path, whole: Mapping) -> None:
    """A JSON file, and a line that says so."""
    out.parent.mkdir(exist_ok=True, parents=True)
    out.write_text(json.dumps(whole, indent=1) + "\n")
    print(f"written: {out}")
