"""What a function answers on the battery: the mean over draws where it depends on chance, with the standard error."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from executable.auditing.battery import BRIGHT, DOMAINS, RELU, Setting, battery
from executable.auditing.catalogue import REFERENCES
from executable.auditing.subject import AuditError, Subject, UnansweredError
from taxonomy.audit import Cost

FEW, MANY, MOST = 3, 12, 36
CHEAP = 300
"""Model calls up to which a draw is cheap."""
FIRST_DRAW = 1000
"""The audited function is given other seeds than the known methods, so that estimates agree as estimates and not draw by draw."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Attributions on one setting."""

    mean: Tensor
    error: float = 0.0
    """Standard error of the mean, largest over the entries; zero without chance."""
    draws: int = 1

    @property
    def scale(self) -> float:
        """Largest attribution."""
        return float(self.mean.abs().max())


def answer(subject: Subject, setting: Setting, *, first: int = 0, count: int = 1) -> Answer:
    """Attributions, averaged over `count` seeds.

    Raises
    ------
    UnansweredError
        As `Subject`.
    """
    found = torch.stack([subject(setting.model, setting.x, setting.target, setting.baselines, seed=first + k) for k in range(count)])
    if count == 1:
        return Answer(found[0])
    error = float(found.std(dim=0).max()) / math.sqrt(count)
    return Answer(found.mean(dim=0), error, count)


def suits(subject: Subject, setting: Setting) -> bool:
    """Whether the function can be told the setting's baseline, if there is one."""
    return setting.baselines is None or subject.takes_baselines


class _Counter:
    """Rows that a model is asked, and rows whose gradient is taken."""

    def __init__(self) -> None:
        self.evaluations, self.gradients = 0, 0

    def hook(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        rows = len(output)
        self.evaluations += rows
        if output.requires_grad:
            output.register_hook(lambda _: self._backward(rows))  # type: ignore[no-untyped-call]

    def _backward(self, rows: int) -> None:
        self.gradients += rows


def cost(subject: Subject, setting: Setting) -> Cost | None:
    """Calls for one input, or None if there is no answer."""
    counter = _Counter()
    handle = setting.model.register_forward_hook(counter.hook)
    try:
        subject(setting.model, setting.x[:1], setting.target, seed=FIRST_DRAW if "seed" in subject.takes else 0)
    except UnansweredError:
        return None
    finally:
        handle.remove()
    return Cost(domain=setting.domain, features=setting.x[0].numel(), evaluations=counter.evaluations, gradients=counter.gradients)


@dataclass
class Answered:
    """All answers of one function, asked for when needed."""

    subject: Subject
    chance: float = 0.0
    """Standard deviation between seeds relative to the largest attribution, largest over the testbeds; zero without chance."""
    first: int = 0
    slow: bool = False
    known: dict[tuple[int, int], Answer | None] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @functools.cached_property
    def most(self) -> int:
        """How many draws the function may be asked for: fewer if each takes many model calls."""
        found = (cost(self.subject, battery()[settings_of(domain)[0]]) for domain in (RELU, BRIGHT))
        calls = max((item.evaluations for item in found if item is not None), default=0)
        return MOST if calls <= CHEAP else MANY

    def on(self, number: int, count: int = 1) -> Answer | None:
        """The answer on a setting of the battery, or None if there is none."""
        setting = battery()[number]
        key = (number, min(count, self.most) if self.chance else 1)
        if not suits(self.subject, setting) or (self.slow and setting.domain != BRIGHT):
            return None
        if key not in self.known:
            try:
                self.known[key] = answer(self.subject, setting, first=self.first, count=key[1])
            except UnansweredError as error:
                self.known[key] = None
                self.refused.setdefault(setting.domain, str(error))
        return self.known[key]

    def domains(self) -> tuple[str, ...]:
        """The testbeds with an answer on every setting that suits."""
        ran = {setting.domain for number, setting in enumerate(battery()) if self.on(number) is not None}
        return tuple(name for name in DOMAINS if name in ran)


def settings_of(domain: str) -> list[int]:
    """Numbers of a testbed's settings."""
    return [number for number, setting in enumerate(battery()) if setting.domain == domain]


def examined(subject: Subject, *, first: int = FIRST_DRAW, slow: bool = False) -> Answered:
    """The function's answers, after a look at whether they depend on chance.

    Raises
    ------
    AuditError
        If there is no usable answer on any testbed, or if two calls under one seed differ.
    """
    found = Answered(subject, first=first, slow=slow)
    if not found.domains():
        _complain(found)
    spread = 0.0
    for domain in found.domains():
        number = next(k for k in settings_of(domain) if found.on(k) is not None)
        setting = battery()[number]
        plain = found.on(number)
        assert plain is not None
        again = answer(subject, setting, first=first)
        if not torch.allclose(again.mean, plain.mean, rtol=1e-6, atol=1e-9 * max(1.0, plain.scale)):
            raise AuditError(
                f"{subject.name} gives other numbers when called again on {domain} with torch, numpy and random at the same seed (difference "
                f"{float((again.mean - plain.mean).abs().max()):.1g}); draw from a generator with a seed, or take a parameter `seed`"
            )
        spread = max(spread, _scatter(found, number))
    found.chance = spread if spread > 1e-9 else 0.0
    return found


def _complain(found: Answered) -> None:
    reasons = found.refused
    name = found.subject.name
    for start, advice in (
        ("wrong", "return one attribution for each entry of the inputs, in their shape"),
        ("not finite", "guard the divisions"),
    ):
        if reasons and all(reason.startswith(start) for reason in reasons.values()):
            domain, reason = next(iter(reasons.items()))
            raise AuditError(f"{name}: {reason} (on {domain}, and on every other testbed); {advice}")
    lines = "".join(f"\n  on {domain}: {reason}" for domain, reason in reasons.items())
    raise AuditError(f"{name} gave no usable answer on any testbed; call it as fn(model, inputs, target) on one of these to see why:{lines}")


@functools.cache
def reference(method: str) -> Answered:
    """The answers of a known method."""
    known = REFERENCES[method]
    found = Answered(known.subject, slow=known.slow)
    if "seed" in known.subject.takes:
        numbers = [settings_of(domain)[0] for domain in known.chance_on]
        found.chance = max(_scatter(found, number) for number in numbers)
    return found


def _scatter(found: Answered, number: int) -> float:
    plain = found.on(number)
    if plain is None:
        return 0.0
    other = answer(found.subject, battery()[number], first=found.first + 1)
    return float((other.mean - plain.mean).abs().max()) / max(plain.scale, 1e-12)
