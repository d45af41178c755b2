"""What the fork server imports before it forks (`makers.forks`): all that the command line loads in the end."""

import iree.compiler.tools  # noqa: F401
import torch

import runtime_py.parser  # noqa: F401

torch.set_num_threads(1)
