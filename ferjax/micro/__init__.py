"""Micro-expressions: a frame network and an LSTM, leave one subject out, and what they must beat.

study: the cells of the whole, and tables of it. loso: heads of all folds and seeds as one program.
  end_to_end: network
and LSTM trained on together. evidence: what a clip's answer rests on. lbp_top, baselines: the field's
feature and
classifier, and the majority. spotting: onset, apex and offset in longer recordings; spotted: its cells.
"""
