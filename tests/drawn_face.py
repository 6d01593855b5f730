"""A face that the detector finds, drawn by a few lines."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def drawn():
    """A simple face, and its eyes' centres."""
    picture = Image.new("L", (400, 300), 150)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((140, 40, 290, 250), fill=205)  # head
    pen.chord((136, 22, 294, 150), 180, 360, fill=50)  # hair
    for x in (182, 248):
        pen.ellipse((x - 22, 118, x + 22, 144), fill=150)  # socket
        pen.rectangle((x - 20, 110, x + 20, 115), fill=70)  # brow
        pen.ellipse((x - 13, 125, x + 13, 139), fill=235)
        pen.ellipse((x - 6, 126, x + 6, 138), fill=30)
    pen.polygon([(215, 130), (203, 172), (227, 172)], fill=190)  # nose
    pen.line((203, 173, 227, 173), fill=120, width=3)
    pen.ellipse((190, 198, 240, 212), fill=110)  # mouth
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(2))), np.array([(182, 132), (248, 132)])
