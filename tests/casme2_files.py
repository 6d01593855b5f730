"""Tiny CASME II, SMIC and SAMM: trees of small pictures and their coding sheets."""

import struct

import numpy as np
from manifest_files import crop, save

from data_pipelines import casme2
from data_pipelines.casme2 import layout
from data_pipelines.split import Split

HEADER = (
    "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units",
    "Estimated Emotion",
)  # fmt: skip
ROWS = (  # subject, clip, onset, apex, offset, units, emotion
    (1, "EP02_01f", 46, 49, 52, "4+7", "disgust"),
    (1, "EP03_02", 9, 11, 13, 12, "happiness"),
    (2, "EP01_11f", 98, 100, 102, "L14", "others"),
    (3, "EP12_01f", 5, "/", 9, "R10+15", "repression"),
    ("sub17", "EP04_02", 1, 3, 4, "15?", "surprise"),
)
SAMM_HEADER = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration",
    "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip
SAMM_ROWS = (
    (6, "006_1_2", 5562, 5565, 5567, "4+7A", "Anger"),
    ("006", "006_1_3", 101, 103, 104, "R12B", "Happiness"),
    (7, "007_3_1", 9, 10, 12, "12 or 14", "Other"),
    (11, "011_2_1", 20, 99, 23, 4, "Surprise"),
)
NAMES = {"Cropped": "reg_img{}.jpg", "CASME2_RAW_selected": "img{}.jpg", "CASME2-RAW": "img{}.jpg"}


def sheet(path, rows=ROWS, header=HEADER, above=0):
    """An .xlsx whose first worksheet has that header, below so many rows of words, and a second one."""
    import openpyxl

    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    for number in range(above):
        book.active.append([f"words {number}"] if number else [])
    book.active.append(header)
    for row in rows:
        book.active.append(row)
    book.create_sheet("more").append(["something else"])
    book.save(path)
    return path


def spread(rows):
    """Rows of CASME II's nine columns."""
    return [(who, clip, None, *frames, None, units, emotion) for who, clip, *frames, units, emotion in rows]


def frames(folder, numbers, name="reg_img{}.jpg", size=(20, 20), base=0):
    """Small pictures of those numbers, different for each."""
    for n in numbers:
        save(folder / name.format(n), np.resize(crop(1000 * base + n), size))
    return folder


def write_set(top, tree="Cropped", rows=ROWS, disk=None, sheet_name="CASME2-coding-20140508.xlsx"):
    """A tree with the frames from onset to offset (of CASME2-RAW from 1 to three later), and its sheet.

    `disk` maps clips to other numbers of frames; None leaves the folder out.
    """
    for place, (who, clip, onset, _, offset, *_) in enumerate(rows):
        who = who if isinstance(who, str) else f"sub{who:02d}"
        numbers = range(1, offset + 4) if tree == "CASME2-RAW" else range(onset, offset + 1)
        numbers = (disk or {}).get(clip, numbers)
        if numbers is not None:
            (top / tree / who / clip).mkdir(parents=True, exist_ok=True)
            frames(top / tree / who / clip, numbers, NAMES[tree], base=place)
    sheet(top / sheet_name, spread(rows))
    return top


def write_samm(top, rows=SAMM_ROWS, tree="SAMM"):
    """SAMM/006/006_1_2/006_05562.jpg and the sheet, whose header is in row 14."""
    for place, (who, clip, onset, _, offset, *_) in enumerate(rows):
        who = f"{int(who):03d}"
        frames(top / tree / who / clip, range(onset, offset + 1), who + "_{:05d}.jpg", base=place)
    body = [
        (who, clip, clip.split("_")[1], *frames_, 5, "Micro - 1/2", units, emotion, 7, None)
        for who, clip, *frames_, units, emotion in rows
    ]
    sheet(top / "SAMM_Micro_FACS_Codes_v2.xlsx", body, SAMM_HEADER, above=13)
    return top


SMIC_CLIPS = {
    "s1/micro/negative/s1_ne_01": range(100, 107),
    "s1/micro/positive/s1_po_01": range(7, 13),
    "s3/micro/surprise/s3_sur_02": range(1, 6),
    "s11/micro/negative/s11_ne_03": range(30, 34),
}


def write_smic(top, camera="HS", clips=None, tree="SMIC_all_cropped"):
    """SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01/reg_image100.bmp, and folders of non_micro."""
    for place, (clip, numbers) in enumerate((clips or SMIC_CLIPS).items()):
        frames(top / tree / camera / clip, numbers, "reg_image{:06d}.bmp", base=place)
    frames(top / tree / camera / "s1/non_micro/s1_n1", range(1, 4), "reg_image{:06d}.bmp")
    return top


def xls(path, rows):
    """A workbook in the oldest form of .xls (BIFF2), of words and whole numbers."""
    record = lambda kind, data: struct.pack("<HH", kind, len(data)) + data  # noqa: E731
    out = record(0x0009, struct.pack("<HH", 2, 0x10))  # beginning of a worksheet
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            place = struct.pack("<HH3x", r, c)
            if isinstance(cell, str):
                out += record(0x0004, place + bytes([len(cell)]) + cell.encode("ascii"))
            elif cell is not None:
                out += record(0x0003, place + struct.pack("<d", cell))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out + record(0x000A, b""))
    return path


SIZE = 20


def options(folder, **changes):
    return {**casme2.OPTIONS, "dir": str(folder), "image_size": SIZE, **changes}


def data(folder, cache, **changes):
    opts = {"crop": "none", **changes}
    return {
        "name": "casme2",
        "dir": str(folder),
        "image_size": SIZE,
        "cache_dir": str(cache),
        "options": opts,
    }


def told(folder, **changes):
    scan = layout.scan(options(folder, **changes))
    return {(t.rule, t.clip): t.words for t in scan.told}


ALWAYS = {("one_clip", "sub02"): "", ("one_clip", "sub03"): "", ("one_clip", "sub17"): ""}
NORMAL = {
    **ALWAYS,
    ("no_apex", "sub03/EP12_01f"): "",
    ("uncertain_au", "sub17/EP04_02"): "15? present",
}


def split_of(o):
    made = casme2.arrays(o)["frames"]
    return Split("casme2/frames", **made, classes=casme2.classes(o), au_names=casme2.au_names(o))
