"""The audited function: how it is called, under which seeds, and what is wrong with what it returns."""

from __future__ import annotations

import importlib
import inspect
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from executable.arguments import Model
from executable.testbeds.digits import one_thread

Attribute = Callable[..., Any]


class AuditError(Exception):
    """The function cannot be audited; the message says what is wrong, where, and what to do."""


class UnansweredError(Exception):
    """There is no usable answer on one testbed; the message says why."""


class Answers(nn.Module):
    """One output of a model with several, for functions that take no target."""

    def __init__(self, network: nn.Module, target: int) -> None:
        super().__init__()
        self.network, self.target = network, target

    def forward(self, x: Tensor) -> Tensor:
        """The chosen output of each row."""
        value: Tensor = self.network(x)
        return value[:, self.target]


class Held(nn.Module):
    """A plain function as a module, with every module it uses inside, so that functions that act on layers find them."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(dict.fromkeys(_modules_of(function)))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """The function's value."""
        return self.function(x)


def _modules_of(function: Any, depth: int = 6) -> Iterator[nn.Module]:
    """The modules that a function closes over or has as defaults, also through the functions it closes over."""
    if depth == 0:
        return
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    values = [*cells, *(getattr(function, "__defaults__", None) or ()), *(getattr(function, "__kwdefaults__", None) or {}).values()]
    values += [
        getattr(value, name) for value in values for name in ("f", "first", "second") if not isinstance(value, nn.Module) and hasattr(value, name)
    ]
    for value in values:
        if isinstance(value, nn.Module):
            yield value
        elif callable(value):
            yield from _modules_of(value, depth - 1)


def as_module(model: Model) -> nn.Module:
    """The model as a module."""
    return model if isinstance(model, nn.Module) else Held(model)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """All global generators at a seed and one thread, put back afterwards; warnings of the audited code stay unseen."""
    numbers, plain = np.random.get_state(), random.getstate()
    with one_thread(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numbers)
            random.setstate(plain)


class Subject:
    """An attribution function as the audit calls it.

    Parameters
    ----------
    function
        fn(model, inputs, target=None, *, baselines=None, ...); `target`, `baselines` and `seed` are handed on where it takes them.
    name
        What reports call it.
    """

    def __init__(self, function: Attribute, name: str = "") -> None:
        if not callable(function):
            raise AuditError(f"{name or 'the function'} is a {type(function).__name__}, not callable; give a function fn(model, inputs, target=None)")
        self.function = function
        self.name = name or getattr(function, "__qualname__", type(function).__name__)
        try:
            taken = inspect.signature(function).parameters
        except (TypeError, ValueError) as error:
            raise AuditError(f"{self.name} has no signature that can be read; wrap it in a def fn(model, inputs, target=None)") from error
        places = [p for p in taken.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
        if len(places) < 2 and not any(p.kind is p.VAR_POSITIONAL for p in places):
            raise AuditError(
                f"{self.name}{inspect.signature(function)} takes no model and inputs; the signature must be fn(model, inputs, target=None)"
            )
        needed = [p.name for p in list(taken.values())[2:] if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if missing := [name for name in needed if name not in {"target", "baselines", "seed"}]:
            raise AuditError(
                f"{self.name} needs {', '.join(f'`{name}`' for name in missing)} as well; fix {'it' if len(missing) == 1 else 'them'}, for example "
                f"with functools.partial or a function of your own"
            )
        anything = any(p.kind is p.VAR_KEYWORD for p in taken.values())
        self.takes = frozenset(name for name in ("target", "baselines", "seed") if anything or name in taken)

    @property
    def takes_baselines(self) -> bool:
        """Whether it can be told the baseline."""
        return "baselines" in self.takes

    def __call__(self, model: Model, x: Tensor, target: int | None = None, baselines: Any = None, *, seed: int = 0) -> Tensor:
        """Attributions, detached.

        Raises
        ------
        UnansweredError
            If there is no usable answer; the message says why.
        """
        module = as_module(model)
        keywords: dict[str, Any] = {}
        if target is not None and "target" not in self.takes:
            module = Answers(module, target)
        elif target is not None:
            keywords["target"] = target
        if baselines is not None and self.takes_baselines:
            keywords["baselines"] = baselines
        if seed and "seed" in self.takes:
            keywords["seed"] = seed
        try:
            with seeded(seed):
                found = self.function(module, x.clone(), **keywords)
        except Exception as error:  # the audited code may raise anything
            raise UnansweredError(f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]) from error
        return _checked(found, x)


def _checked(answer: Any, x: Tensor) -> Tensor:
    if not isinstance(answer, Tensor):
        raise UnansweredError(f"wrong result: a {type(answer).__name__} instead of one torch.Tensor; return the attributions alone")
    found: Tensor = answer
    tokens = (*x.shape, x.shape[-1])
    if found.shape != x.shape and not (not x.is_floating_point() and found.shape == tokens):
        wanted = f"the shape {tuple(x.shape)} of the inputs"
        raise UnansweredError(f"wrong shape: {tuple(found.shape)} instead of {wanted}; return one number for each entry of the inputs")
    found = found.detach().double()
    if not bool(torch.isfinite(found).all()):
        place = tuple(int(i) for i in (~torch.isfinite(found)).nonzero()[0])
        raise UnansweredError(f"not finite: {found[place].item()} at index {place}; return 0 where a quotient 0/0 arises, or raise an error")
    return found


def resolve(link: str) -> Callable[..., Any]:
    """The function of `package.module:function`, the current folder included.

    Raises
    ------
    AuditError
        If the module cannot be imported or has no such function.
    """
    module, _, name = link.partition(":")
    if not module or not name:
        raise AuditError(f"`{link}` does not name a function; write package.module:function")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # importing runs the module's own code
        raise AuditError(
            f"the module `{module}` cannot be imported: {type(error).__name__}: {error}; run from the folder that holds it, or install it"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            names = ", ".join(sorted(key for key, value in vars(found).items() if callable(value) and not key.startswith("_"))[:12])
            raise AuditError(f"`{module}` has no `{name}`; it has {names or 'no functions'}")
        found = getattr(found, part)
    if not callable(found):
        raise AuditError(f"`{link}` is a {type(found).__name__}, not callable; name a function fn(model, inputs, target=None)")
    return found  # type: ignore[no-any-return]
