"""How vargrad is called in the tests of the contract that all methods keep."""

from executable import vargrad
from method_cases.base import MethodCase

CASES = [
    MethodCase("vargrad", vargrad, {"n_samples": 6}, {"n_samples": 6}),
    MethodCase("vargrad", vargrad, {"n_samples": 6, "stdevs": 0.5}, {"n_samples": 6, "stdevs": 0.5}),
]
