"""Errors of writing, building and running a parser without a runtime."""

from compile.support.errors import CompileError


class StandaloneError(CompileError):
    """A parser could not be written as C, or its C could not be built or run."""

    stage = "standalone"


class ToolchainError(StandaloneError):
    """This machine has no C compiler or no emulator for a target."""
