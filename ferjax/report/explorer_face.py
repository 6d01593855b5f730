"""A schematic face with the place of each action unit, as inline SVG.

Places after the muscles and the appearance changes that the FACS manual (Ekman, Friesen & Hager 2002) gives
for each unit; a drawing to find one's way by, not an anatomical plate.
"""

from collections.abc import Mapping
from html import escape

# Ellipses (cx, cy, rx, ry, turn in degrees) in a face 320 wide and 400 high, its middle at x = 160. The first
# one is where the label points. Those left of the middle are drawn on both sides.
_LID, _MOUTH = (105, 160, 34, 19, 0), (160, 293, 52, 18, 0)
PLACES: dict[str, tuple[tuple[float, ...], ...]] = {
    "AU01": ((134, 98, 22, 22, 0),),
    "AU02": ((84, 104, 25, 20, -14),),
    "AU04": ((112, 127, 44, 12, -6), (160, 134, 14, 18, 0)),
    "AU05": ((105, 147, 33, 9, 0),),
    "AU06": ((84, 196, 34, 20, 18),),
    "AU07": ((105, 173, 33, 8, 0),),
    "AU08": ((160, 290, 40, 13, 0),),
    "AU09": ((160, 182, 22, 30, 0), (128, 222, 12, 14, 0)),
    "AU10": ((133, 270, 26, 12, -8),),
    "AU11": ((118, 252, 11, 22, 24),),
    "AU12": ((97, 276, 24, 17, 35),),
    "AU13": ((92, 262, 16, 24, 28),),
    "AU14": ((99, 293, 13, 12, 0),),
    "AU15": ((104, 314, 15, 18, 20),),
    "AU16": ((138, 318, 24, 10, 6),),
    "AU17": ((160, 350, 34, 17, 0),),
    "AU18": ((160, 293, 36, 22, 0),),
    "AU19": ((160, 302, 20, 12, 0),),
    "AU20": ((88, 302, 26, 12, -10),),
    "AU21": ((112, 392, 30, 12, 20),),
    "AU22": ((160, 294, 44, 25, 0),),
    "AU23": (_MOUTH,),
    "AU24": ((160, 293, 46, 10, 0),),
    "AU25": ((160, 295, 38, 7, 0),),
    "AU26": ((160, 344, 62, 32, 0),),
    "AU27": ((160, 324, 56, 50, 0),),
    "AU28": ((160, 295, 40, 14, 0),),
    "AU29": ((160, 356, 48, 24, 0),),
    "AU30": ((160, 352, 70, 28, 0),),
    "AU31": ((72, 300, 18, 32, -18),),
    "AU32": ((160, 301, 28, 10, 0),),
    "AU33": ((84, 268, 28, 34, 0),),
    "AU34": ((84, 262, 32, 40, 0),),
    "AU35": ((84, 258, 24, 32, 0),),
    "AU36": ((118, 318, 18, 18, 0),),
    "AU37": ((160, 303, 40, 9, 0),),
    "AU38": ((140, 240, 14, 11, 0),),
    "AU39": ((142, 234, 11, 15, 0),),
    "AU41": ((105, 150, 33, 11, 0),),
    "AU42": ((105, 162, 33, 10, 0),),
    "AU43": (_LID,),
    "AU44": ((105, 166, 38, 20, 0),),
    "AU45": (_LID,),
    "AU46": (_LID,),
}
_WIDE, _HIGH, _SHIFT = 464, 408, 72  # the picture; the face starts at x = _SHIFT
_FACE = (
    "M160 8C244 8 286 76 284 168C282 252 252 328 206 372C180 394 140 394 114 372C68 328 38 252 36 168"
    "C34 76 76 8 160 8Z"
)
_HALF = (  # drawn on both sides
    "M68 134Q98 106 140 124",  # brow
    "M74 161Q104 136 136 162Q106 182 74 161Z",  # lids
    "M149 172C147 204 142 216 131 228Q127 244 146 244Q154 250 160 250",  # nose
    "M124 240Q104 258 96 284",  # nasolabial fold
    "M36 158Q20 150 22 184Q26 214 40 212",  # ear
)
_MIDDLE = (
    "M110 293Q136 277 150 280Q160 285 170 280Q184 277 210 293Q184 292 160 295Q136 292 110 293Z",  # upper lip
    "M110 293Q160 332 210 293",  # lower lip
    "M142 342Q160 334 178 342",  # chin
)


def face(aus: Mapping[str, int]) -> str:
    """The face with a region and a label for each action unit.

    Args:
      aus: name -> filters that survive for it; regions of units with at least one are tinted. Units that have
        no place in PLACES (head and eye movements) are left out.
    Returns:
      One <svg>; regions and labels are <g class="au" data-au="AU12">.
    """
    drawn = sorted((au for au in aus if au in PLACES), key=lambda au: (PLACES[au][0][1], au))
    half = "".join(f'<path d="{d}"/>' for d in _HALF)
    half += '<circle class="iris" cx="105" cy="160" r="9"/>'
    skeleton = (
        f'<path class="skin" d="{_FACE}"/><g>{half}</g><g transform="matrix(-1 0 0 1 320 0)">{half}</g>'
    )
    skeleton += "".join(f'<path d="{d}"/>' for d in _MIDDLE)
    large_first = sorted(drawn, key=lambda au: -max(p[2] * p[3] for p in PLACES[au]))
    regions = "".join(_group(au, aus[au], _region(au), "region") for au in large_first)
    labels = _labels(drawn[::2], aus, left=True) + _labels(drawn[1::2], aus, left=False)
    return (
        f'<svg class="face" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="A face with the place of '
        f'{len(drawn)} action units; the table beside it has a button for each."><g transform="translate('
        f'{_SHIFT} 4)"><g class="lines">{skeleton}</g>{regions}</g>{labels}</svg>'
    )


def _group(au: str, survive: int, content: str, css: str) -> str:
    css += " some" if survive else ""
    return f'<g class="au {css}" data-au="{au}"><title>{escape(au)}</title>{content}</g>'


def _region(au: str) -> str:
    out = ""
    for cx, cy, rx, ry, turn in PLACES[au]:
        for x, angle in [(cx, turn), (320 - cx, -turn)][: 1 if cx == 160 else 2]:
            turned = f' transform="rotate({angle} {x} {cy})"' if angle else ""
            out += f'<ellipse cx="{x}" cy="{cy}" rx="{rx}" ry="{ry}"{turned}/>'
    return out


def _labels(column: list[str], aus: Mapping[str, int], left: bool) -> str:
    """Labels in a margin with lines to their regions, in the order of the regions, none over another."""
    gap = min(25.0, (_HIGH - 24) / max(1, len(column)))
    ys: list[float] = []
    for au in column:
        ys.append(max(PLACES[au][0][1] + 4, ys[-1] + gap if ys else 14.0))
    for i in reversed(range(len(ys))):
        ys[i] = min(ys[i], _HIGH - 12 - gap * (len(ys) - 1 - i))
    out = ""
    for au, y in zip(column, ys, strict=True):
        cx, cy, rx, *_ = PLACES[au][0]
        x = cx - (0.55 * rx if cx == 160 else 0)
        x, edge, box = (x + _SHIFT, 60, 2) if left else (320 - x + _SHIFT, _WIDE - 60, _WIDE - 60)
        out += _group(
            au,
            aus[au],
            f'<line x1="{edge}" y1="{y:.1f}" x2="{x:.1f}" y2="{cy + 4}"/><circle cx="{x:.1f}" cy="{cy + 4}" '
            f'r="2.2"/><rect x="{box}" y="{y - 10:.1f}" width="58" height="21" rx="5"/>'
            f'<text x="{box + 29}" y="{y + 6:.1f}">{au}</text>',
            "label",
        )
    return out
