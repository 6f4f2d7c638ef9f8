"""The reformulation families of the survey's Table III: each unified formula as a function of what tells its members apart."""

from executable.frameworks.feature_additive import feature_additive
from executable.frameworks.feature_removal import removal_attribution
from executable.frameworks.game_theoretic import weighted_coalition_game
from executable.frameworks.modified_gradient_times_input import modified_gradient_times_input
from executable.frameworks.path_integral import path_integral
from executable.frameworks.taylor_interaction import allocate_effects

__all__ = [
    "allocate_effects", "feature_additive", "modified_gradient_times_input", "path_integral", "removal_attribution", "weighted_coalition_game",
]  # fmt: skip
