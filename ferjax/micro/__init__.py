"""Micro-expressions, besides the network: what came before it, and where in a recording they are.

lbp_top, baselines: the field's feature and classifier, and the majority. spotting: onset, apex and offset.
"""
