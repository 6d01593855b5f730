"""What the filters of a network see, and whether it is what FACS says. docs/attribution.md has the output.

study: the whole, stage by stage. inputs, measure, causes, tables: what it looks at, does, and writes.
network: a model and its weights as attribution sees them. activations: one pass over a set. pixels: maps.
ranks, units, matching: which filter, which unit. controls, verdict: is it real, and how to say so.
heads, ablation: what a unit's logit stands on. randomise, planted, truth: controls of the pixel methods.
"""
