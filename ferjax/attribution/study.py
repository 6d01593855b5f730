"""A whole attribution: a workdir and a coded set in, tables, pictures and their controls out.

Each stage keeps its result in W/attribution/<data>/stages, under a digest of the inputs, the network and the
settings of attribute (those of control networks apart), so that an interrupted run goes on. Other settings
begin anew, but for controls: more of them cost only their own time.
"""

import dataclasses
import json
import math
import pathlib
import time

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from data_pipelines import BadInput, arrays
from data_pipelines.split import Split
from ferjax import config as config_lib
from ferjax import evaluate, files, results, run
from ferjax.attribution import (
    activations,
    causes,
    controls,
    evidence,
    inputs,
    matching,
    measure,
    pictures,
    sides,
    tables,
    units,
)
from ferjax.attribution.network import Network
from ferjax.attribution.stages import Stages
from ferjax.augment import middle
from ferjax.ops.memory import keep_freed_memory

STAGES = 6  # of the arrays that stages keep; raised when what one holds changes
PERMUTATION_SECONDS = 240  # of all pairs: where attribute.permutations would take longer, fewer are drawn
RANDOM_CAUSES = 3  # random networks whose filters are ablated too


def attribute(workdir: str, name: str = "", folder: str = "", overrides=()) -> tuple[pathlib.Path, int]:
    """Matches every filter of a training to action units and writes W/attribution/<name>/.

    Args:
      workdir: of a training.
      name: the coded set; "" for the one trained on.
      folder: the set's files.
      overrides: "attribute.top_n=20" and the like; only keys of data and attribute may change.
    Returns:
      (the folder, exit status: 0, or 128 + signal where a signal stopped the training of a control).
    Raises:
      BadInput: no training there, no coded inputs, no such layer, or a checkpoint of another network.
    """
    keep_freed_memory()
    started = time.monotonic()
    workdir = pathlib.Path(workdir)
    saved = results.read_workdir(workdir)
    if not saved.get("config"):
        raise BadInput(f"{workdir} has no config.json; give the --workdir of a training")
    trained = config_lib.from_json(saved["config"])
    if trained.task != "emotion":
        raise BadInput(
            f"{workdir} was trained on action units; filters are matched for networks that never saw one "
            "(task=emotion)"
        )
    evaluate.checkpoint_step(workdir, "best")  # before data are read for nothing
    config = of_set(trained, name, folder, overrides)
    out = run.open_workdir(workdir / "attribution" / config.data.name)
    with run.lock(out):
        a = config.attribute
        data = config.data.to_dict()
        try:
            seen = arrays.load_parts(trained.data)
        except BadInput as error:
            raise BadInput(
                f"the data that {workdir} was trained on cannot be read ({error}); put them back, or mend "
                f"data.dir in {workdir / 'config.json'}"
            ) from None
        taken = inputs.load(
            {**data, "image_size": seen.train.image.shape[1]}, a.threshold, a.least, trained.seed
        )
        if taken.split.image.shape[1:] != seen.train.image.shape[1:]:
            raise BadInput(
                f"data {data['name']} has pictures of {taken.split.image.shape[1:]}, the network takes "
                f"{seen.train.image.shape[1:]}; give a set of the same size and channels"
            )
        if a.top_n > len(taken.split):
            raise BadInput(
                f"config key attribute.top_n is {a.top_n}; {data['name']} has {len(taken.split)} inputs "
                "(one a sequence); take fewer"
            )
        network, step = sides.load_network(workdir, trained, seen.train)
        taken = dataclasses.replace(taken, split=_cut(taken.split, network.crop))
        study = Study(config, trained, workdir, out, taken, network, data)
        study.sides, status = sides.trained(trained, workdir, a.seeds, a.shuffled)
        if status:
            return out, status
        study.run()
        overlap = len(set(taken.subject.tolist()) & set(seen.train.subject.tolist()) - {""})
        tables.write(study, out, step=step, seen=overlap, wall_time_s=time.monotonic() - started)
    return out, 0


def of_set(trained: ConfigDict, name: str, folder: str, overrides) -> ConfigDict:
    """The run's config with the data of the coded set, its own where no other is named."""
    config = config_lib.from_json(config_lib.to_json(trained))
    with config.unlocked():
        if name and name != trained.data.name:
            plain = config_lib.default().data
            plain.name, plain.cache_dir = name, trained.data.cache_dir
            config.data = plain
        if folder:
            config.data.dir = folder
        config.data.shuffle_labels = 0
        for text in overrides:
            if not text.startswith(("data.", "attribute.")):
                key = text.partition("=")[0]
                raise BadInput(f"--config.{key} cannot change after training; only data and attribute can")
        config_lib.apply_overrides(config, overrides)
    config_lib.check(config)
    return config.lock()


def _cut(split: Split, side: int) -> Split:
    """Its pictures as the network sees them: the middle square of that side."""
    return (
        dataclasses.replace(split, image=np.ascontiguousarray(middle(split.image, side))) if side else split
    )


class Study:
    """The stages, and what they found (as attributes, in the order of `run`)."""

    def __init__(self, config, trained, workdir, out, taken: inputs.Inputs, network: Network, data: dict):
        self.config, self.trained, self.workdir, self.out = config, trained, workdir, out
        self.inputs, self.network, self.data = taken, network, data
        self.notes: list[str] = []
        self.sides: list[sides.Side] = []
        self.neutral_pictures = None  # where the set has too few, nothing is ablated
        self.began = time.monotonic()
        self.device = jax.devices()[0].device_kind
        a = config.attribute
        names = tuple(part.strip() for part in a.layers.split(",") if part.strip()) or None
        shape = taken.split.image.shape[1:]
        named, maps = activations.check_layers(network, shape, names), activations.map_layers(network, shape)
        self.layers = tuple(name for name in maps if name in named)  # in forward order: the last is the last
        self.least = max(1, a.least // 2)  # on each half
        filters = sum(maps[name][2] for name in self.layers)
        # of a match: one of all filters can reach half of the level; more would show nothing
        self.permutations = min(a.permutations, max(20_000, math.ceil(2 * filters / a.fdr)))
        settings = a.to_dict()
        for key in ("seeds", "shuffled", "random_networks"):  # networks have stages of their own
            del settings[key]
        self.stages = Stages(
            out / "stages",
            [
                STAGES,
                settings,
                self.layers,
                config.seed,
                activations.network_hash(network),
                taken.split.hash,
                taken.subject.tolist(),
            ],
            (taken.present, taken.emotion, taken.choose),
        )

    def say(self, text: str) -> None:
        """A line of progress, with the seconds since the study began."""
        print(f"[{time.monotonic() - self.began:6.0f} s] {text}", flush=True)

    def run(self) -> None:
        """All stages in order."""
        a, seed, say = self.config.attribute, self.config.seed, self.say
        q, u = self.inputs.present.shape
        say(
            f"{q} inputs of {len(self.inputs.split.subjects)} people, {u} action units, "
            f"layers {', '.join(self.layers)}"
        )
        if not a.seeds:
            self.notes.append(
                "No other seed was trained (attribute.seeds=0): which matches recur is not known."
            )
        if not a.shuffled:
            self.notes.append("No network was trained on shuffled labels (attribute.shuffled=0).")
        self.found, self.acts = self._measure(
            "this network", self.network, a.bootstrap, self.out / "activations"
        )
        self.sides = sides.random(self.network, a.random_networks) + self.sides
        self.side_found = [self._measure(side.name, side.network, 0)[0] for side in self.sides]
        self.random = [m for s, m in zip(self.sides, self.side_found, strict=True) if s.kind == "random"]
        self.limits = measure.limits(self.found, self.random)
        self.significant = self.found.significant(a.fdr)
        say("statistics of filters and units")
        self.pairs = self.stages.keep("pairs", self._pairs)
        say("permutations of all pairs")
        self.all_pairs = self._permute()
        say("planted filters")
        self.planted = self._planted()
        say("action-unit heads")
        self.head = self.stages.keep(
            "head", lambda: causes.fit(np.asarray(self.acts.features), self.inputs, a.bootstrap, seed)
        )
        headed = causes.with_head(self.network, self.head, self.inputs)
        half = causes.measuring_half(self.inputs, a.causal_inputs)
        say(f"gradient x activation of the heads, {len(half.images)} inputs of the measuring half")
        self.gradient = self.stages.keep("gradient", lambda: causes.gradients(headed, half, self.layers))
        say("ablation")
        self.causal, self.groups = self._ablate(headed, half)
        self.random_causes = self._random_causes(half)
        self._pixel_methods(headed)
        say("pictures")
        self.top = self.stages.keep(
            "top", lambda: pictures.top(self.network, self.acts, self.inputs.split, a.pictures)
        )
        say("tables")

    def _pixel_methods(self, headed: Network) -> None:
        """Which pixel methods see the weights, and, where the answer is known, which ones find it."""
        a, n, seed = self.config.attribute, self.config.attribute.randomised_inputs, self.config.seed
        self.randomised, self.truths = {}, []
        if not n:
            self.notes.append("The pixel methods were not tested (attribute.randomised_inputs=0).")
            return
        self.say("randomisation of the pixel methods")
        last = self.layers[-1]
        self.randomised = {
            "logits": causes.randomisation(self.network, self.inputs, n, seed, a.bootstrap),
            last: causes.filter_randomisation(
                self.network, self.inputs, self.acts, last, n, seed, a.bootstrap
            ),
        }
        if self.config.data.name == "facsynth" and self.network.crop:
            self.notes.append(
                "Pixel methods were not tested against drawn faces: this network sees their middle."
            )
        elif self.config.data.name == "facsynth":
            self.say("pixel methods where the answer is known")
            features = np.asarray(self.acts.features)
            made = self.stages.keep("truth", lambda: {"json": json.dumps(files.plain(
                causes.truths(headed, self.inputs, self.head, features, n, a.bootstrap)))})  # fmt: skip
            self.truths = json.loads(str(made["json"]))

    def _ablate(self, headed: Network, half: causes.Half):
        """Each filter alone, and each unit's filters of the last layer together."""
        a = self.config.attribute
        try:
            pictures, rule = inputs.neutral_images(self.inputs, self.data)
        except BadInput as error:
            self.notes.append(f"No ablation: {error}.")
            return causes.compared(np.full(self.found.auc.shape, np.nan), self.acts, self.found, a.fdr), []
        self.notes.append(f"Ablated filters are replaced by their mean map over {rule}.")
        self.neutral_pictures = middle(pictures[: causes.NEUTRALS], self.network.crop)
        replaced = activations.images_hash(self.neutral_pictures)
        neutral = self.stages.keep(
            "neutral", lambda: causes.neutral_means(headed, self.neutral_pictures, self.layers), replaced
        )
        made = self.stages.keep(
            "ablation",
            lambda: {"drop": causes.single_ablations(headed, half, self.acts, neutral)},
            replaced,
        )
        single = causes.compared(made["drop"], self.acts, self.found, a.fdr)
        last = self.layers[-1]
        groups = causes.group_ablations(
            headed, half, self.acts, neutral[last], last,
            self.found.match.au, self.significant, self.found.active,
            a.bootstrap, self.config.seed,
        )  # fmt: skip
        return single, groups

    def _random_causes(self, half: causes.Half) -> list[dict[str, np.ndarray]]:
        """The same of some random networks: how well heads read them, and what their filters do.

        Each {"auc" [u] of heads, "matched", "other" [stronger, comparable, all] of the
        significant filters and of the rest}.
        """
        i, a, out = self.inputs, self.config.attribute, []
        ablated = self.neutral_pictures is not None
        replaced = activations.images_hash(self.neutral_pictures) if ablated else ""

        def make(network, found):
            acts = activations.collect(network, i.split.image, self.layers, a.batch_size, progress=False)
            fitted = causes.fit(acts.features, i, 0, self.config.seed)
            drop = np.full(found.auc.shape, np.nan)
            if ablated:
                headed = causes.with_head(network, fitted, i)
                neutral = causes.neutral_means(headed, self.neutral_pictures, self.layers)
                drop = causes.single_ablations(headed, half, acts, neutral)
            single, real = causes.compared(drop, acts, found, a.fdr), found.significant(a.fdr)
            counts = {"matched": single.counts(real), "other": single.counts(found.active & ~real)}
            return {"auc": fitted["auc"], **counts}

        for side, found in list(zip(self.sides, self.side_found, strict=True))[:RANDOM_CAUSES]:
            if side.kind != "random":
                break
            name = f"causes-{side.name.replace(' ', '-')}"
            out.append(self.stages.keep(name, lambda s=side, f=found: make(s.network, f), replaced))
        return out

    def _permute(self) -> controls.Permuted:
        """Every pair of a filter and a unit over all inputs: for the table of pairs, not for verdicts."""
        i, seed = self.inputs, self.config.seed
        x, n = np.asarray(self.acts.maximum), self._affordable()

        def make():
            with tqdm(total=n, desc="permutations of all pairs", leave=False, disable=None) as bar:
                tested = controls.permutation_test(
                    x, i.present, i.subject, n, seed, progress=lambda done, total: bar.update(done - bar.n)
                )
            return {f.name: getattr(tested, f.name) for f in dataclasses.fields(tested)}

        made = self.stages.keep("all-pairs", make, n)
        return controls.Permuted(**{k: v.item() if v.ndim == 0 else v for k, v in made.items()})

    def _planted(self) -> list[dict]:
        a = self.config.attribute

        def make():
            return {"json": json.dumps(evidence.on_planted(
                self.inputs, self.random, self.layers[-1], least=self.least, bootstrap=a.bootstrap,
                permutations=self.permutations, level=a.fdr, seed=self.config.seed,
            ))}  # fmt: skip

        return json.loads(str(self.stages.keep("planted", make, a.random_networks)["json"]))

    def _affordable(self) -> int:
        """attribute.permutations, or as many as the time allows, which is then noted."""
        a, i = self.config.attribute, self.inputs

        def make():  # measured once: a second start would find another number, and begin anew
            cost = controls.seconds_per_permutation(np.asarray(self.acts.maximum), i.present, i.subject)
            return {"most": max(int(PERMUTATION_SECONDS / max(cost, 1e-9)), 200)}

        most = int(self.stages.keep("affordable", make)["most"])
        if a.permutations <= most:
            return a.permutations
        self.notes.append(
            f"The table of pairs stands on {most:,} permutations instead of {a.permutations:,}, which would "
            f"take over {PERMUTATION_SECONDS // 60} minutes with {len(i.present):,} inputs."
        )
        return most

    def _measure(self, name: str, network: Network, bootstrap: int, folder=None):
        a = self.config.attribute
        kept: dict = {}

        def make():
            with tqdm(
                total=self.permutations, desc=f"{name}: permutations", leave=False, disable=None
            ) as bar:
                found, acts = measure.measure(
                    network,
                    self.inputs,
                    self.layers,
                    top_n=a.top_n,
                    least=self.least,
                    bootstrap=bootstrap,
                    permutations=self.permutations,
                    seed=self.config.seed,
                    batch_size=a.batch_size,
                    folder=folder,
                    progress=lambda done, total: bar.update(done - bar.n),
                )
            kept["acts"] = acts
            return measure.to_arrays(found)

        stage = "network-" + activations.network_hash(network)[:12]
        found = measure.of_arrays(self.stages.keep(stage, make, self.least, bootstrap))
        if folder is not None and "acts" not in kept:
            kept["acts"] = activations.collect(
                network, self.inputs.split.image, self.layers, a.batch_size, folder
            )
        print(f"  {name}: {int(found.active.sum())} active filters", flush=True)
        return found, kept.get("acts")

    def _pairs(self) -> dict[str, np.ndarray]:
        """Every measure of every filter and unit, [j, u]: over all inputs, but `d` on the measuring half."""
        a, i = self.config.attribute, self.inputs
        x = np.asarray(self.acts.maximum)
        within = np.where(i.emotion < 0, -1, i.emotion)
        low, high = matching.auc_intervals(
            x, i.present, i.subject, bootstrap=a.bootstrap, seed=self.config.seed
        )
        shape = (x.shape[1], i.present.shape[1])
        share = units.unit_au_precision(x, i.present, a.top_n)
        classes = len(i.split.classes)
        emotion, _, emotion_auc = matching.emotion_preference(x, i.emotion, i.choose, classes, self.least)
        return {
            "p_top_n": share,
            "auc_low": low.reshape(shape),
            "auc_high": high.reshape(shape),
            "ap": units.average_precision(x, i.present),
            "kl": units.kl_divergence(x, i.present),
            "mi": units.mutual_information(x, i.present),
            "auc_within": units.stratified_auc(x, i.present, within),
            "auc_outside": units.outside_auc(x, i.present, i.emotion),
            "d": units.effect_size(x[~i.choose], i.present[~i.choose]),
            "best_top_n": units.best_unit(share, (i.present == 1).mean(0)),
            "rejected": units.rejected(share, self.found.active),
            "emotion": emotion,
            "emotion_auc": emotion_auc,
        }
