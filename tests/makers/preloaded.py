"""What the fork server imports before it forks (`makers.forks`): all that the command line loads in the end."""

import iree.compiler.tools  # noqa: F401
import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401
import torch
import torch._dynamo  # by the first step of an optimizer and by the first trace

import runtime_py.parser  # noqa: F401

torch.set_num_threads(1)
