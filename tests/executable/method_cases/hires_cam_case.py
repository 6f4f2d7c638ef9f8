"""How hires_cam is called in the tests of the contract that all methods keep."""

from executable import hires_cam
from method_cases.base import MethodCase

CASES = [MethodCase("hires-cam", hires_cam, None, {"layer": "norm", "interpolate": "bilinear"})]
