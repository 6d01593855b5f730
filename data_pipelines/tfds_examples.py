"""What every TensorFlow Datasets builder here says of its examples, and arrays as such examples."""

import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image


def examples(arrays: Mapping, more: Sequence[str] = ()) -> Iterator[tuple[str, dict]]:
    """What a builder's `_generate_examples` yields.

    Args:
      arrays: image uint8 [n, h, w, c], c = 1 or 3 (RGB), label int [n], aus int8 [n, u], subject and id str
        [n], as a set's `arrays` gives them for a part.
      more: further arrays of [n, ...] to hand on.
    Yields:
      (id, example); the image is a PNG file in memory, so that what is read is what was stored, to the bit.
    """
    for row, key in enumerate(arrays["id"].tolist()):
        png = io.BytesIO()
        image = arrays["image"][row]
        Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(png, "png", compress_level=1)
        png.seek(0)
        example = {
            "image": png,
            "label": int(arrays["label"][row]),
            "aus": arrays["aus"][row],
            "subject": str(arrays["subject"][row]),
            "id": key,
        }
        yield key, example | {name: arrays[name][row] for name in more}


def info(
    builder,
    size: int,
    classes: Sequence[str],
    au_names: Sequence[str],
    more: Mapping | None = None,
    metadata: Mapping | None = None,
    channels: int = 1,
    **words,
):
    """What a builder's `_info` returns: a Split's fields, classes and action units as metadata.

    Args:
      builder: the builder itself.
      size: of the pictures, pixels.
      classes: k names.
      au_names: u names.
      more: further features, beside image, label, aus, subject and id.
      metadata: further metadata.
      channels: of the pictures, 1 grey or 3 RGB.
      **words: description, citation, homepage.
    Returns:
      tfds.core.DatasetInfo.
    """
    import tensorflow_datasets as tfds

    fields = {
        "image": tfds.features.Image(shape=(size, size, channels), encoding_format="png"),
        "label": np.int64,
        "aus": tfds.features.Tensor(shape=(len(au_names),), dtype=np.int8),
        "subject": tfds.features.Text(),
        "id": tfds.features.Text(),
        **(more or {}),
    }
    said = {"classes": list(classes), "au_names": list(au_names), **(metadata or {})}
    return tfds.core.DatasetInfo(
        builder=builder,
        features=tfds.features.FeaturesDict(fields),
        supervised_keys=("image", "label"),
        metadata=tfds.core.MetadataDict(said),
        **words,
    )
