"""Micro-expressions: a frame network and an LSTM, leave one subject out, and what they must beat.

settings: the config. study: the cells; tables. folds: who trains and who is told. loso: heads of all folds
settings: the config. study: the cells; tables. folds: who trains and is told. loso: heads of all folds
an answer rests on. lbp_top, baselines: the field's feature and classifier, and the majority. spotting: onset,
apex and offset in longer recordings; spotted: its cells.
"""
