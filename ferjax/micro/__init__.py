"""Micro-expressions: a frame network's features, an LSTM, leave-one-subject-out, baselines, spotting."""
