"""What the benchmark of scaling tells, worked by hand; one step split among two processes, for real."""

import pytest

from benchmarks import scaling


def test_bytes_of_a_ring_and_efficiency_within_rounds():
    assert scaling.ring_bytes(100, 1) == 0 and scaling.ring_bytes(100, 4) == 150
    one, two = ("devices", 1), ("processes", 2)
    held = [
        {one: {"seconds": [1, 9, 2], "bytes": 100}, two: {"seconds": [4.0], "bytes": 100}},
        {one: {"seconds": [3.0], "bytes": 100}, two: {"seconds": [4.0], "bytes": 100}},
        {one: {"seconds": [5.0], "bytes": 100}, two: {"missing": "failed"}},
    ]
    a, b = scaling.summarise(held, [one, two])
    assert a["efficiency"]["median"] == 1 and a["seconds"] == {"median": 3, "low": 2, "high": 5}
    assert b["efficiency"] == {"median": pytest.approx(0.625), "low": 0.5, "high": 0.75}
    assert b["bytes_sent"] == 100
    assert scaling.table([a, b]).splitlines()[2].split()[:3] == ["processes", "2", "4.00"]


def test_processes_that_fail_are_told():
    found = scaling.spawn(3, 1, 2)  # three examples do not divide among two
    assert "batch_size is 3" in found["missing"]
