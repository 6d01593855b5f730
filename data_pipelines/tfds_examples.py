"""Arrays as the examples of a TensorFlow Datasets builder. No TensorFlow here."""

import io
from collections.abc import Iterator, Mapping, Sequence

from PIL import Image


def examples(arrays: Mapping, more: Sequence[str] = ()) -> Iterator[tuple[str, dict]]:
    """What a builder's `_generate_examples` yields.

    Args:
      arrays: image uint8 [n, h, w, 1], label int [n], aus int8 [n, u], subject and id str [n], as a set's
        `arrays` gives them for a part.
      more: further arrays of [n, ...] to hand on.
    Yields:
      (id, example); the image is a PNG file in memory, so that what is read is what was stored, to the bit.
    """
    for row, key in enumerate(arrays["id"].tolist()):
        png = io.BytesIO()
        Image.fromarray(arrays["image"][row, :, :, 0]).save(png, "png", compress_level=1)
        png.seek(0)
        example = {
            "image": png,
            "label": int(arrays["label"][row]),
            "aus": arrays["aus"][row],
            "subject": str(arrays["subject"][row]),
            "id": key,
        }
        yield key, example | {name: arrays[name][row] for name in more}
