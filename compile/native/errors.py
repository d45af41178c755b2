"""Errors of writing, building and running a native parser."""

from compile.support.errors import CompileError


class NativeError(CompileError):
    """A native parser could not be built, or does not answer as PyTorch does."""

    stage = "native"


class WrongProcessorError(NativeError):
    """The processor at hand lacks instructions that a parser was compiled for."""


class NoCompilerError(NativeError):
    """This machine has no C compiler for a target."""
