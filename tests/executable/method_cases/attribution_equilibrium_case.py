"""How attribution_equilibrium is called in the tests of the contract that all methods keep."""

from executable import attribution_equilibrium
from method_cases.base import MethodCase

# A chain of convolutions and ReLUs is asked for, which neither network is: its own tests run it.
CASES = [MethodCase("attribution-equilibrium", attribution_equilibrium, None, None)]
