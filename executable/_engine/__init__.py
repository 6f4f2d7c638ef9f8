"""Machinery for methods that change how a signal travels backwards: record one forward pass as steps, then walk it back under a rule."""

from executable._engine.rules import ActivationRule, EpsilonRule, activation_rule, ordinary, stabilised
from executable._engine.tape import LayerRule, Step, Tape, pull, record

__all__ = ["ActivationRule", "EpsilonRule", "LayerRule", "Step", "Tape", "activation_rule", "ordinary", "pull", "record", "stabilised"]
