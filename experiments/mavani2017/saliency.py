"""Mavani, Raman & Miyapuram 2017, and what the paper lacks: did the saliency map help?

    ferjax reproduce --config experiments/mavani2017/saliency.py --workdir runs/saliency \
        --dir rafd=/path/to/RaFD --dir cfee=/path/to/CFEE

AlexNet on faces as they are, times their saliency map (the paper), dimmed by it, beside it, and on
controls: another face's map, the map inverted, a centre Gaussian. RaFD and CFEE in folds of subjects; the
built-in faces are always there as another set. With published weights:

    --config.pretrained=alexnet-owt-7be5be79.pth

Without them every training begins from an AlexNet that was trained on built-in faces of other people, in the
same job. Maps of ML-Net: write them with ferjax saliency --config, then

    --config.method=maps --config.sets.rafd.source.data.saliency.maps=FOLDER (and so for every set)

Written for an accelerator; on two CPU cores the printed time budget is a matter of days. A look at it there:
--config.folds=3 --config.inputs=none,product,shuffled --config.across=False
"""

from ferjax.weighted import recipe


def get_config():
    """The study."""
    c = recipe.across_sets(epochs=12)
    c.name = "Mavani et al. 2017: faces weighted by saliency"
    c.paper_says = f"{recipe.PAPER}; 65.39 is of 'the most generalised experiment', of which sets is not said"
    c.paper["product/rafd/cfee"] = 65.39
    return c
