"""Taylor interaction family (survey Eq. 16): Taylor effects, each allocated to the features by weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

Degrees = tuple[int, ...]
"""κ: the degree of each variable in a term of the Taylor expansion."""
AllocationWeight = Callable[[int, Degrees], Fraction]
"""w_{i,κ}: the share of the effect I(κ) that feature i receives."""


def allocate_effects(effects: Mapping[Degrees, Fraction], weights: AllocationWeight) -> list[Fraction]:
    """Share out the terms of a Taylor expansion.

    a_i = sum_j w_{i,j} φ(j) + sum_{|S|>1} w_{i,S} I(S)                       (survey Eq. 16)

    The sum runs over the terms κ themselves, since the weight of a set S is not defined where the effects of its terms cancel.

    Parameters
    ----------
    effects : mapping
        I(κ) for each degree vector κ other than zero, e.g. `Polynomial.effects(x, b)`. Independent effects are the κ with one variable.
    weights : callable
        `weights(i, κ)`: `proportional_to_degree` (integrated gradients), `equal_shares` (Shapley value), `whole_effect` (occlusion-1),
        `degree` (gradient x input), `gradient_term`.

    Returns
    -------
    list of Fraction
        One attribution per feature, exact if the effects are.

    References
    ----------
    Deng et al., Unifying fourteen post-hoc attribution methods with Taylor interactions, 2024.

    Example
    -------
    >>> allocate_effects({(2, 1): Fraction(6)}, proportional_to_degree)
    [Fraction(4, 1), Fraction(2, 1)]
    """
    features = len(next(iter(effects), ()))
    return [sum((weights(i, degrees) * effect for degrees, effect in effects.items()), Fraction(0)) for i in range(features)]


def proportional_to_degree(i: int, degrees: Degrees) -> Fraction:
    """κ_i / |κ|: integrated gradients share a term by relative degree (Taylor paper, Eq. 26).

    Parameters
    ----------
    i : int
        Number of the variable.
    degrees : tuple of int
        κ: the degrees of all variables in the term, not all zero.

    Returns
    -------
    Fraction
        w_{i,κ}.

    Example
    -------
    >>> [str(proportional_to_degree(i, (2, 1, 2))) for i in range(3)]
    ['2/5', '1/5', '2/5']
    """
    return Fraction(degrees[i], sum(degrees))


def equal_shares(i: int, degrees: Degrees) -> Fraction:
    """1 / |S| for the variables S of the term: the Shapley value shares it equally (Taylor paper, Eq. 30).

    Parameters
    ----------
    i : int
        Number of the variable.
    degrees : tuple of int
        κ: the degrees of all variables in the term, not all zero.

    Returns
    -------
    Fraction
        w_{i,κ}; zero for a variable that the term does not have.

    Example
    -------
    >>> [str(equal_shares(i, (2, 0, 1))) for i in range(3)]
    ['1/2', '0', '1/2']
    """
    return Fraction(int(degrees[i] > 0), sum(degree > 0 for degree in degrees))


def whole_effect(i: int, degrees: Degrees) -> Fraction:
    """1 for each variable of the term: occlusion-1 counts a term |S| times (Taylor paper, Eq. 17).

    Parameters
    ----------
    i : int
        Number of the variable.
    degrees : tuple of int
        κ: the degrees of all variables in the term, not all zero.

    Returns
    -------
    Fraction
        w_{i,κ}; zero for a variable that the term does not have.

    Example
    -------
    >>> [str(whole_effect(i, (2, 0, 1))) for i in range(3)]
    ['1', '0', '1']
    """
    return Fraction(int(degrees[i] > 0))


def degree(i: int, degrees: Degrees) -> Fraction:
    """κ_i: gradient x input, with the expansion at the baseline.

    Parameters
    ----------
    i : int
        Number of the variable.
    degrees : tuple of int
        κ: the degrees of all variables in the term, not all zero.

    Returns
    -------
    Fraction
        w_{i,κ}.

    Example
    -------
    >>> [str(degree(i, (2, 0, 1))) for i in range(3)]
    ['2', '0', '1']
    """
    return Fraction(degrees[i])


def gradient_term(i: int, degrees: Degrees) -> Fraction:
    """1 for the linear term of the variable alone, κ = e_i (Taylor paper, Eqs. 15 and 32).

    Parameters
    ----------
    i : int
        Number of the variable.
    degrees : tuple of int
        κ: the degrees of all variables in the term, not all zero.

    Returns
    -------
    Fraction
        w_{i,κ}.

    Example
    -------
    >>> [str(gradient_term(0, degrees)) for degrees in ((1, 0), (2, 0), (1, 1))]
    ['1', '0', '0']
    """
    return Fraction(int(sum(degrees) == 1 and degrees[i] == 1))
