"""Launch files: they parse, their commands are ones that ferjax takes, what ends a job is acted upon."""

import os
import pathlib
import shlex
import subprocess

import kubernetes_validate
import pytest
import yaml
from runs import ROOT

from ferjax import flags

LAUNCH = ROOT / "launch"
SCRIPTS = ("train.slurm", "cells.slurm")


@pytest.fixture
def cluster(tmp_path):
    """Runs a script with stand-ins for srun, scontrol and ferjax: (status of ferjax) -> (status, calls)."""
    calls = tmp_path / "calls"

    def stand_in(name, body):
        path = tmp_path / name
        path.write_text(f'#!/bin/bash\nprintf "%q " {name} "$@" >> {calls}\necho >> {calls}\n{body}\n')
        path.chmod(0o755)

    # srun's own options end where its command begins; its status is the highest of its tasks'
    stand_in("srun", 'while [[ $1 == -* ]]; do shift; done\n"$@"')
    stand_in("scontrol", "")

    def run(script, status, *words):
        calls.unlink(missing_ok=True)
        stand_in("ferjax", f"exit {status}")
        env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        env |= {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "1"}
        done = subprocess.run(["bash", LAUNCH / script, *words], env=env, capture_output=True, text=True)
        return done.returncode, [shlex.split(line) for line in calls.read_text().splitlines()]

    return run


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_parse_and_their_options_are_slurms(script):
    assert subprocess.run(["bash", "-n", LAUNCH / script]).returncode == 0
    lines = (LAUNCH / script).read_text().splitlines()
    options = [line.split()[1].split("=")[0] for line in lines if line.startswith("#SBATCH")]
    known = "job-name nodes ntasks-per-node gpus-per-node gpus cpus-per-task time signal requeue output array"
    assert set(options) <= {f"--{word}" for word in known.split()} and "--requeue" in options
    assert all(lines.index(line) < lines.index("set -euo pipefail") for line in lines if "#SBATCH" in line)


@pytest.mark.parametrize(("status", "again"), [(0, False), (2, False), (143, True), (75, True)])
def test_a_training_is_queued_again_where_it_can_go_on(cluster, status, again):
    ended, calls = cluster("train.slurm", status, "e.py", "w", "--config.seed=1")
    assert ended == status
    (ferjax,) = [call for call in calls if call[0] == "ferjax"]
    args, rest = flags.parser().parse_known_args(ferjax[1:])
    assert (args.config, args.workdir, args.coordinator) == ("e.py", "w", "auto")
    assert flags.overrides(args, rest) == ["parallel.mode=shard_map", "seed=1"]
    assert (["scontrol", "requeue", "7"] in calls) == again


def test_a_training_that_crashes_for_ever_is_left(cluster, monkeypatch):
    monkeypatch.setenv("SLURM_RESTART_COUNT", "20")
    assert ["scontrol", "requeue", "7"] not in cluster("train.slurm", 75, "e.py", "w")[1]


@pytest.mark.parametrize(("status", "again"), [(0, False), (2, False), (143, True)])
def test_tasks_of_an_array_share_a_study(cluster, status, again):
    ended, calls = cluster("cells.slurm", status, "e.py", "w", "--dir", "rafd=D")
    assert ended == status
    (ferjax,) = [call for call in calls if call[0] == "ferjax"]
    args, _ = flags.parser().parse_known_args(ferjax[1:])
    assert args.verb == "reproduce" and args.no_budget and args.dir == ["rafd=D"]
    assert (["scontrol", "requeue", "8_1"] in calls) == again


def test_the_jobset_is_whole():
    """The job within is one by Kubernetes' own schema; around it JobSet's fields, as named here."""
    said = yaml.safe_load((LAUNCH / "jobset.yaml").read_text())

    def fields(of, required, optional=""):
        assert set(required.split()) <= set(of) <= {*required.split(), *optional.split()}, set(of)

    fields(said, "apiVersion kind metadata spec")
    assert (said["apiVersion"], said["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    fields(said["spec"], "replicatedJobs failurePolicy")
    (job,) = said["spec"]["replicatedJobs"]
    fields(job, "name replicas template")
    whole = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train"}, **job["template"]}
    kubernetes_validate.validate(whole, kubernetes_validate.latest_version(), strict=True)
    spec = job["template"]["spec"]
    fields(spec, "parallelism completions backoffLimit template")
    assert spec["parallelism"] == spec["completions"] and spec["backoffLimit"] == 0
    pod = spec["template"]["spec"]
    fields(pod, "restartPolicy containers", "terminationGracePeriodSeconds nodeSelector volumes")
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    fields(container, "name image command resources volumeMounts")
    assert container["resources"]["limits"] == container["resources"]["requests"]
    assert {v["name"] for v in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    rows, columns = map(int, pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x"))
    assert rows * columns == spec["parallelism"] * container["resources"]["limits"]["google.com/tpu"]
    assert container["command"][:2] == ["ferjax", "train"]
    args, rest = flags.parser().parse_known_args(container["command"][1:])
    assert args.coordinator == "auto" and pathlib.Path(ROOT / args.config).is_file()
    assert "parallel.mode=shard_map" in flags.overrides(args, rest)
