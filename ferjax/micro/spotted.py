"""The spotting cells of a study whose recordings are neutral before the onset and after the offset."""

import os
import pathlib

import numpy as np

from data_pipelines import motion
from ferjax import detectors, files
from ferjax.micro import contrast, spotting
from ferjax.protocols import Cell

LEAD = 10  # frames on either side that must surely be neutral
CURVES = {
    "contrast": "each frame against frames shortly before and after, the head's motion projected out",
    "pixels": "root mean squared difference of grey levels to the first frames",
    "features": "of the frame network's features, which never saw the subject",
    "middle": "no curve: the training subjects' mean duration in the middle of the recording",
}


def truth(clips) -> np.ndarray:
    """int [n, 3]: onset, apex and offset of each clip."""
    return np.stack([clips.onset, clips.apex, clips.offset], 1)


def recordings(clips) -> np.ndarray:
    """int: the clips that have LEAD neutral frames or more before their onset and after their offset."""
    after = np.diff(clips.start) - 1 - clips.offset
    return np.flatnonzero((clips.onset >= LEAD) & (after >= LEAD))


def remark(clips) -> list[str]:
    """A line on clips that cannot be searched, where others can."""
    rows = recordings(clips)
    lost = sorted(set(range(len(clips))) - set(rows.tolist()))
    if not len(rows) or not lost:
        return []
    names = ", ".join(clips.id[lost[:5]].tolist()) + (", ..." if len(lost) > 5 else "")
    return [f"spotting: {len(lost)} clips without {LEAD} neutral frames on either side are left out: {names}"]


def cells(study) -> list[Cell]:
    """A cell for each curve; none where fewer than two subjects have recordings longer than that."""
    rows = recordings(study.clips)
    if len(np.unique(study.clips.subject[rows])) < 2:
        return []
    kind = study.inputs[0]
    curves = ["contrast", "pixels", "middle"] + (["features"] if study.c.network == "fold" else [])
    return [_cell(study, name, kind) for name in curves]


def _cell(study, name: str, kind: str) -> Cell:
    of = study.clips.take(recordings(study.clips))
    need = tuple(f"frames/{kind}/{s}" for s in study.subjects) if name == "features" else ()

    def run(folder: pathlib.Path) -> tuple[dict | None, int]:
        want, length = truth(of), np.diff(of.start)
        if name == "middle":
            found = np.zeros_like(want)
            for who in of.subjects:
                test = of.subject == who
                lasting = (of.offset - of.onset + 1)[~test].mean()
                found[test] = spotting.middle(length[test], lasting)
            curves = [np.zeros(t) for t in length]
        else:
            curves = [_curve(study, of, i, name, kind) for i in range(len(of))]
            # in a contrast steady change has cancelled; a distance keeps rising while the head drifts
            detrend = name != "contrast"
            found, _ = spotting.leave_one_out(curves, want, of.subject, LEAD, detrend=detrend)
        told = {"found": found, "truth": want, "length": length, "curve": np.concatenate(curves, -1)}
        told["subject"] = of.subject
        files.write(folder / "spotted.npz", files.npz_bytes(told))
        return {"files": [os.path.relpath(folder / "spotted.npz", study.workdir)], "device": "cpu"}, 0

    about = {"clips": of.hash, "lead": LEAD, "grid": str(spotting.GRID)}
    if name == "contrast":
        about |= {"spans": contrast.SPANS, "smooth": contrast.SMOOTH}
    if name == "features":
        about |= {"frames": study.about_frames(), "input": kind, "data": study.data()}
    return Cell(f"spotting/{name}", about, run, need, 0.15 * len(of) + 15)


def _curve(study, of, i: int, name: str, kind: str) -> np.ndarray:
    frames = of.frames(i)
    if name == "contrast":
        return contrast.curves(frames, LEAD)
    if name == "pixels":
        return spotting.distance(frames, LEAD)
    network = study.network(str(of.subject[i]), kind)
    x = motion.represent(frames, frames[0], kind, study.c.clip.gain)
    return spotting.distance(detectors.features(network, x, study.c.layer), LEAD)
