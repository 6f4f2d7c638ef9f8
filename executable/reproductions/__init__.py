"""Studies of the sources rerun on our own data; `atlas reproduce` runs them and records tables, curves and pictures under `kb/reproductions/`.

Each module of this package holds functions registered with `@reproduces(study)` from `base`; `run` finds them all.
"""
