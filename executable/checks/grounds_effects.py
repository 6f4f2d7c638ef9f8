"""Checks of interaction effect allocation: which share of each effect a method hands to its variables, and whether it hands out both kinds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from executable.checks.base import ALGEBRA, Case, at_least, at_most, breaks, counterexample, error, number, subject, worst
from executable.checks.grounds_common import DRAWS, SEED, ground
from executable.checks.taylor_gradients import HEADS, first_order_errors, grad_cam_errors
from executable.checks.taylor_modules import RULES, module_error, random_neuron, two_layer_error
from executable.checks.taylor_theorems import ALLOCATIONS, allocation_error, settings
from executable.frameworks.taylor_interaction import AllocationWeight, allocate_effects, degree, gradient_term
from executable.methods.gradient_times_input import grad_times_input, integrated_gradients
from executable.methods.layerwise_backprop import lrp_epsilon
from executable.methods.perturbation import banzhaf_value, occlusion_1, shapley_value
from executable.rationales.interaction_effect_allocation import Share, allocate_interactions, equal, halves, whole
from executable.removal import Marginal
from executable.testbeds.mlps import lively_draws
from executable.testbeds.polynomials import as_rows, random_point, random_polynomial
from taxonomy.evidence import Evidence

_METHODS: dict[str, tuple[str, Callable[..., Tensor], Share, str, Share]] = {
    "occlusion-1": ("Occlusion-1", occlusion_1, whole, "all of each interaction effect in which it has part", equal),
    "shapley-value": ("The Shapley value", shapley_value, equal, "an equal share of each interaction effect in which it has part", whole),
}


def shares(claim: str) -> Evidence:
    """Eq. 19 in networks: effects by inclusion and exclusion, handed out in the shares printed, against the method."""
    name, method, share, words, other = _METHODS[subject(claim)]
    found, removal, swapped, banzhaf, path, jointly = [], [], [], [], [], []
    for activation, n in (("relu", 3), ("tanh", 4), ("relu", 5)):
        for model, x, target in lively_draws(DRAWS, activation, bias=True, seed=SEED, sizes=(n, 8, 6, 3), batch=2):
            generator = torch.Generator().manual_seed(SEED)
            b = torch.randn(x.shape, generator=generator, dtype=torch.float64)
            data = Marginal(torch.randn(3, n, generator=generator, dtype=torch.float64))
            value = method(model, x, target, baselines=b)
            handed = allocate_interactions(model, x, target, share=share, baselines=b)
            found.append(error(handed.attributions, value))
            removal.append(
                error(allocate_interactions(model, x, target, share=share, baselines=data).attributions, method(model, x, target, baselines=data))
            )
            swapped.append(error(allocate_interactions(model, x, target, share=other, baselines=b).attributions, value))
            banzhaf.append(
                error(allocate_interactions(model, x, target, share=halves, baselines=b).attributions, banzhaf_value(model, x, target, baselines=b))
            )
            path.append(error(integrated_gradients(model, x, target, baselines=b, n_steps=200), handed.attributions))
            jointly.append(float(handed.interaction.abs().sum() / handed.attributions.abs().sum()))
    return ground(
        claim,
        "grounds-effects/shares",
        statement=f"{name} gives each variable its independent effect and {words} (Eq. 19).",
        measurements=(
            at_most("one baseline: Eq. 19 against the method", worst(found), ALGEBRA),
            at_most("marginal removal: Eq. 19 against the method", worst(removal), ALGEBRA),
            at_most("shares $2^{1-|S|}$ against the Banzhaf value", worst(banzhaf), ALGEBRA),
            number("size of what comes from interactions over size of the attributions, median", sorted(jointly)[len(jointly) // 2]),
        ),
        controls=[
            breaks(
                f"shares of the other method of Eq. 19, {'1 / |S|' if other is equal else 'the whole'} (smallest difference)", min(swapped), ALGEBRA
            ),
            breaks("integrated gradients in place of the method (smallest difference)", min(path), ALGEBRA),
        ],
        finding="Exact for every model, since the effects are those of the game $F(x_S)$. Integrated gradients is no division of the same effects: "
        "it depends on values of the model between input and baseline.",
        domain="Random networks with three to five inputs, biases and ReLU or tanh; random baselines, and rows of data to draw them from",
        trials=len(found),
    )


def _both(weights: AllocationWeight, players: int) -> bool:
    """Whether some term in one variable and some in several have a weight other than zero."""
    alone = [tuple(int(k == i) * d for k in range(players)) for i in range(players) for d in (1, 2)]
    joint = [tuple(1 if k in (i, j) else 0 for k in range(players)) for i in range(players) for j in range(i)]
    return all(any(weights(i, degrees) for degrees in terms for i in range(players)) for terms in (alone, joint))


def _case(setting: str, meets: bool, gap: float, both: bool) -> Case:
    return Case(f"{setting}{'' if both else ': linear terms only'}", meets, gap if both else max(gap, 1.0))


def _from_the_baseline() -> list[Case]:
    """Members whose terms are those of the model or of one neuron, expanded at the baseline."""
    plain = [setting for setting in settings() if setting.name.startswith("random")]
    cases = []
    for found in {found.method: found for found in ALLOCATIONS.values()}.values():
        cases.append(_case(found.method, True, worst([allocation_error(setting, found) for setting in plain]), _both(found.weights, 3)))
    for name, rule in RULES.items():
        chance = random.Random(SEED)
        neurons = [random_neuron(chance, "both", at_zero=rule.needs_zero, nonnegative=rule.theorem == 12) for _ in range(3)]
        both = all(_both(rule.weights(neuron.contributions), len(neuron.x)) for neuron in neurons)
        cases.append(_case(f"{name}, one neuron", True, worst([module_error(rule, neuron) for neuron in neurons]), both))
    chance, gaps = random.Random(SEED), []
    for _ in range(8):
        f, x = random_polynomial(chance, 3), random_point(chance, 3)
        exact = allocate_effects(f.effects(x, [Fraction(0)] * 3), degree)
        gaps.append(error(grad_times_input(f.module(), as_rows(x)), as_rows(exact)))
    cases.append(_case("grad-times-input, weights κ_i", True, worst(gaps), _both(degree, 3)))
    return cases


def _from_the_input() -> list[Case]:
    """Members whose theorem gives them the linear term of another expansion."""
    gaps = [error(lrp_epsilon(m, x, t, epsilon=0.0), grad_times_input(m, x, t)) for m, x, t in lively_draws(DRAWS, "relu", bias=True, seed=SEED)]
    both = _both(gradient_term, 3)
    return [
        _case("grad-times-input, weights of its theorem", False, worst(first_order_errors(3, 8)[0]), both),
        _case("lrp-0 and lrp-epsilon, weights of their theorem", False, worst(gaps), both),
        _case("grad-cam, weights of its theorem", False, worst([grad_cam_errors(name, 2)[0] for name in HEADS]), both),
    ]


def members(claim: str) -> Evidence:
    """Every member of the family with the weights of its theorem: whether it is their allocation, and whether they reach both kinds of effects."""
    cases = _from_the_baseline() + _from_the_input() + [Case(f"{name}, two layers", False, two_layer_error(rule)) for name, rule in RULES.items()]
    both = {case.setting.split(",")[0] for case in cases if case.meets and case.error <= ALGEBRA}
    wrong = min(
        allocation_error(setting, replace(ALLOCATIONS["taylor-theorem-9"], weights=degree))
        for setting in [setting for setting in settings() if setting.name.startswith("random")][-4:]
    )
    return ground(
        claim,
        "grounds-effects/members",
        statement="Each member of the family is a sum of Taylor effects with weights, some of which are not zero for effects of single variables "
        "and some for interaction effects.",
        cases=cases,
        measurements=(at_least("members that hand out both kinds of effects", len(both), 12),),
        controls=[breaks("the Shapley value with the weights $\\kappa_i$ (smallest error)", wrong, ALGEBRA)],
        condition="The terms are those of an expansion at the baseline: of the model for Occlusion-1, occlusion by patches, prediction difference, "
        "integrated and expected gradients, the Shapley value and, with the weights $\\kappa_i$, gradient times input; of one neuron for LRP-αβ, "
        "deep Taylor, both DeepLIFT rules and Deep SHAP. The theorems on gradient times input, LRP-0, LRP-ε and Grad-CAM give interactions no "
        "weight.",
        finding="For the last four the theorems name a linear term of the expansion at the input, so that as stated they rest on the Taylor "
        "decomposition and not on an allocation of interactions. Gradient times input does hand out interactions if it is read at the baseline: "
        "each term $\\kappa_i$ times.",
        domain="Random polynomials, single neurons with polynomial activations, ReLU networks with biases, convolutional networks with four heads",
        trials=len(cases),
        example=counterexample(
            "$x_1 x_2$ at $(1, 1)$ from $0$ is an interaction effect of $1$ and nothing else. Gradient times input gives $(1, 1)$; the weights of "
            "its theorem give $(0, 0)$, the weights $\\kappa_i$ $(1, 1)$.",
            """
from fractions import Fraction
import torch
from executable.frameworks.taylor_interaction import allocate_effects, degree, gradient_term
from executable.methods.gradient_times_input import grad_times_input

effects = {(1, 1): Fraction(1)}
assert allocate_effects(effects, gradient_term) == [0, 0] and allocate_effects(effects, degree) == [1, 1]
assert grad_times_input(lambda x: x[:, 0] * x[:, 1], torch.ones(1, 2)).tolist() == [[1.0, 1.0]]
""",
            input=[1, 1],
            gradient_times_input=[1, 1],
            theorem=[0, 0],
        ),
    )
