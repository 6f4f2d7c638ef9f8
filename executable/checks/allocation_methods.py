"""The methods whose allocation of Taylor terms is judged, and the functions they are judged on."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from torch import Tensor, nn

from executable import methods
from executable.arguments import Model, Target
from executable.checks.base import error
from executable.checks.taylor_modules import by_groups, half_across
from executable.checks.taylor_theorems import along_the_sum, whole_patch
from executable.frameworks.taylor_interaction import AllocationWeight, allocate_effects, degree, equal_shares, proportional_to_degree, whole_effect
from executable.principles import allocation_testbeds as beds
from executable.principles.allocation_testbeds import TINY, Bed, listed, neuron_bed, row, two_layers
from executable.principles.base import Explainer, adapted
from executable.testbeds.polynomials import as_rows, degree_vectors

SEED = 71
HIGHEST = 4
"""Order up to which weights are looked at."""


class _OnMaps(nn.Module):
    """A function of n numbers as the head of a network whose one feature map holds them."""

    def __init__(self, head: Model) -> None:
        super().__init__()
        self.maps = nn.Identity()
        self._head = head

    def forward(self, x: Tensor) -> Tensor:
        """Value at each map."""
        value: Tensor = self._head(self.maps(x).flatten(1))
        return value


def grad_cam_of_locations(model: Model, x: Tensor, target: Target = None) -> Tensor:
    """Grad-CAM before its rectifier; the features are the locations of one feature map, shape (1, n)."""
    net = _OnMaps(model)
    found = methods.grad_cam(net, x[:, None, None, :], target, layer=net.maps, relu_attributions=False, attr_dim_summation=False)
    return found.reshape(x.shape)


@dataclass(frozen=True)
class Subject:
    """A method as the principles ask it, its call in a snippet, and the weights that its theorem gives to the terms of one neuron."""

    explain: Explainer
    call: str
    weights: Callable[[Sequence[Fraction]], AllocationWeight] | None

    def definition(self) -> str:
        """Lines that define `explain`."""
        name = self.call.split("(")[0]
        source = "executable.checks.allocation_methods" if name == "grad_cam_of_locations" else "executable.methods"
        return f"from {source} import {name}\nexplain = lambda model, x, baselines: {self.call}\n"


def _subject(call: str, weights: Callable[[Sequence[Fraction]], AllocationWeight] | None, **options: Any) -> Subject:
    name = call.split("(")[0]

    def run(model: Model, x: Tensor, **given: Any) -> Tensor:
        function = grad_cam_of_locations if name == "grad_cam_of_locations" else getattr(methods, name)
        given = {key: value for key, value in given.items() if key == "target" or "baselines" in call}
        found: Tensor = function(model, x, **options, **given)
        return found

    return Subject(adapted(run), call, weights)


SUBJECTS: dict[str, Subject] = {
    "occlusion-1": _subject("occlusion_1(model, x, baselines=baselines)", lambda z: whole_effect),
    "occlusion-patch": _subject(
        "occlusion_patch(model, x, sliding_window_shapes=2, baselines=baselines)", lambda z: whole_patch, sliding_window_shapes=2
    ),
    "prediction-difference": _subject("prediction_difference(model, x, baselines=baselines)", lambda z: whole_effect),
    "integrated-gradients": _subject("integrated_gradients(model, x, baselines=baselines)", lambda z: proportional_to_degree),
    "expected-gradients": _subject("expected_gradients(model, x, baselines=baselines)", lambda z: proportional_to_degree),
    "shapley-value": _subject("shapley_value(model, x, baselines=baselines)", lambda z: equal_shares),
    "grad-times-input": _subject("grad_times_input(model, x, baselines=baselines)", lambda z: degree),
    "grad-cam": _subject("grad_cam_of_locations(model, x)", None),
    "lrp-0": _subject("lrp_0(model, x)", lambda z: proportional_to_degree),
    "lrp-epsilon": _subject("lrp_epsilon(model, x, epsilon=0.0)", lambda z: proportional_to_degree, epsilon=0.0),
    "lrp-alpha-beta": _subject(
        "lrp_alpha_beta(model, x, alpha=2.0, beta=1.0)", lambda z: by_groups(z, Fraction(2), Fraction(-1)), alpha=2.0, beta=1.0
    ),
    "deep-taylor-decomposition": _subject(
        'deep_taylor_decomposition(model, x, input_rule="z_plus")', lambda z: by_groups(z, Fraction(1), Fraction(0)), input_rule="z_plus"
    ),
    "deeplift-rescale": _subject("deeplift_rescale(model, x, baselines=baselines)", lambda z: proportional_to_degree),
    "deeplift-revealcancel": _subject("deeplift_revealcancel(model, x, baselines=baselines)", half_across),
    "deep-shap": _subject("deep_shap(model, x, baselines=baselines)", lambda z: equal_shares),
}
OTHER_PARAMETERS = {
    "lrp-epsilon": _subject("lrp_epsilon(model, x, epsilon=0.25)", None, epsilon=0.25),
    "lrp-alpha-beta": _subject("lrp_alpha_beta(model, x, alpha=1.0, beta=0.0)", None, alpha=1.0, beta=0.0),
}
"""The same methods with parameters that matter for a verdict."""

FOURTEEN = tuple(name for name in SUBJECTS if name != "lrp-0")


def contributions(count: int = 12) -> list[list[Fraction]]:
    """Contributions of both signs to a neuron, none zero, with a sum that is not zero."""
    chance = random.Random(SEED)
    found: list[list[Fraction]] = []
    while len(found) < count:
        z = [Fraction(chance.choice([-1, 1]) * chance.randint(1, 6), 2) for _ in range(2 + len(found) % 3)]
        if sum(z) and len({value > 0 for value in z}) == 2:
            found.append(z)
    return found


def weight_violations(subject: Subject) -> dict[str, Fraction]:
    """How far the weights of the theorem break the three principles of the Taylor paper, exactly, over terms of order up to `HIGHEST`."""
    worst = dict.fromkeys(("low-approximation-error", "no-unrelated-allocation", "complete-allocation"), Fraction(0))
    assert subject.weights is not None
    for z in contributions():
        weights = subject.weights(z)
        for degrees in degree_vectors(len(z), HIGHEST):
            shares = [weights(i, degrees) for i in range(len(z))]
            foreign = [abs(share) for share, k in zip(shares, degrees, strict=True) if not k]
            found = Fraction(int(not any(shares))), max(foreign, default=Fraction(0)), abs(sum(shares, Fraction(-1)))
            worst = {name: max(known, value) for (name, known), value in zip(worst.items(), found, strict=True)}
    return worst


def distance_from_weights(subject: Subject) -> float:
    """The method on neurons without bias against the terms that the weights of its theorem give to each input."""
    assert subject.weights is not None
    gaps = []
    for z, power in itertools.product(contributions(), range(1, HIGHEST + 1)):
        effects = along_the_sum([0.0] * power + [1.0], z)
        bed = neuron_bed([float(value) for value in z], power)
        gaps.append(error(subject.explain(bed.model, bed.x, baselines=0 * bed.x), as_rows(allocate_effects(effects, subject.weights(z)))))
    return max(gaps)


@listed
def both_signs() -> Sequence[Bed]:
    """Neurons with positive and negative contributions, no bias."""
    drawn = [(tuple(int(2 * value) for value in z), power) for z, power in itertools.product(contributions(6), (2, 3))]
    return [*(neuron_bed((2, -1), power) for power in (1, 2, 3)), *(neuron_bed(weights, power) for weights, power in drawn)]


def _one_sign(sign: int) -> list[Bed]:
    return [neuron_bed(tuple(sign * w for w in weights), power) for power in (1, 2, 3) for weights in ((1, 1), (1, 2), (3, 1, 2))]


@listed
def positive_only() -> Sequence[Bed]:
    """Neurons with positive contributions, no bias."""
    return _one_sign(1)


@listed
def negative_only() -> Sequence[Bed]:
    """Neurons with negative contributions, no bias."""
    return _one_sign(-1)


@listed
def with_bias() -> Sequence[Bed]:
    """Neurons with contributions of both signs and a bias."""
    return [
        neuron_bed(weights, power, bias, x) for weights, x in (((2, -1), (1, 1)), ((3, -1, -1), (2, 1, 1))) for power in (2, 3) for bias in (1, 2)
    ]


@listed
def equal_weights() -> Sequence[Bed]:
    """Heads that see the mean of a map only: neurons with equal weights, one input close to the baseline."""
    return [replace(neuron_bed((1,) * n, power, 0, (*(1.0,) * (n - 1), TINY)), absent=(n - 1,)) for n in (2, 3) for power in (2, 3)]


@listed
def explanatory_models() -> Sequence[Bed]:
    """The linear model with one weight for a map that Grad-CAM puts in the place of the network."""
    plain = [neuron_bed((w,) * n, 1) for w in (1, -2) for n in (2, 3)]
    return [*plain, *(replace(neuron_bed((w, w), 1, 0, (TINY, 1.0)), absent=(0,)) for w in (1, 3))]


@listed
def mixed_layers() -> Sequence[Bed]:
    """Networks of two layers in which every neuron has contributions of both signs."""
    found = []
    for first, second in (([[2, -1], [3, -2]], [2, -1]), ([[3, -1], [-1, 3]], [3, -1]), ([[2, -1, 1], [1, -3, 1]], [2, -1])):
        x = row(*(1.0,) * len(first[0]))
        found += [Bed("a network of two layers", two_layers(first, second, k), x, f"two_layers({first}, {second}, {k})") for k in (1, 2)]
    return found


@listed
def layers_with_positive() -> Sequence[Bed]:
    """Networks of two layers in which every neuron has a positive contribution."""
    return beds.networks()[:-1]


@listed
def all_negative_layer() -> Sequence[Bed]:
    """A network whose second layer has no positive contribution."""
    return beds.networks()[-1:]


@listed
def polynomial_pairs() -> Sequence[Bed]:
    """Differences of two networks of one polynomial."""
    return [bed for bed in beds.networks_with_dummies() if "relu" not in bed.name]


@listed
def rectifier_pairs() -> Sequence[Bed]:
    """Differences of two ReLU networks of one function."""
    return [bed for bed in beds.networks_with_dummies() if "relu" in bed.name]
