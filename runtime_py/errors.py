"""Errors of the device runtime: each message says what is wrong, where, and what to do about it."""

import re

from runtime_py.terminal import printable

BINDING_ERRORS: tuple[type[Exception], ...] = (RuntimeError, ValueError, LookupError)
"""What the binding of IREE raises where the runtime reports a failure: OUT_OF_RANGE and NOT_FOUND are lookup errors."""


class ParserError(Exception):
    """Base of everything that this package raises on purpose; its text is one line that no terminal obeys.

    Messages name what stands in files of others, and applications print them as they are.
    """

    def __str__(self) -> str:
        """Return the message in one line, with escapes for what a terminal would obey."""
        return printable(re.sub(r"\s*\n\s*", " ", super().__str__().strip()))


class PackageError(ParserError):
    """The package cannot be used: a file is missing, unreadable, or not what the manifest says."""


class SchemaError(PackageError):
    """The manifest is not valid, or was written for another version of the format."""


class DigestError(PackageError):
    """A file's content does not match the SHA-256 or the size in the manifest."""


class SignatureError(PackageError):
    """The package is not signed as demanded: by nobody, by another key, or it was changed after it was signed."""


class CalibrationMissingError(PackageError):
    """The package has no calibration, which is needed for what was asked of it."""


class BudgetMissingError(PackageError):
    """The package has no part of the network for the budget that was asked for."""


class ValuesError(ParserError, ValueError):
    """Names that were given at run time are for no slot of the parser, or are no names."""


class UpdateError(ParserError):
    """An update cannot be made or applied; the package that it was for stays what it is."""


class KeyFileError(ParserError):
    """A key cannot be used: no such file, no key, open to others, or nothing is installed that could use it."""


class UnsupportedTargetError(ParserError):
    """This machine cannot run the compiled code: another architecture, a missing CPU feature, no such device."""


class RuntimeMismatchError(UnsupportedTargetError):
    """The installed IREE runtime is not of the version that the code was compiled for."""


class DeviceError(ParserError):
    """The device refused the module or failed while it ran it."""


class InputTooLongError(ParserError, ValueError):
    """The text does not fit the largest length bucket of the package, and the policy is to refuse such a text."""


class ParserClosedError(ParserError):
    """The parser was used after ``close()``."""


class ForkError(ParserError):
    """The parser cannot be used in this process, which was forked from the one that loaded it."""


class CacheError(ParserError):
    """There is no folder in which something could be kept."""


class InputError(ParserError):
    """Standard input cannot be read, or holds no texts."""


class OutputError(ParserError):
    """Standard output cannot be written.

    Attributes:
        broken_pipe: Whether whoever read it has gone, as `head` does, which is no error.
    """

    def __init__(self, cause: OSError) -> None:
        """Keep what the system said."""
        self.broken_pipe = isinstance(cause, BrokenPipeError)
        super().__init__(f"standard output cannot be written ({cause.strerror or cause}).")


class ConformanceError(ParserError):
    """A conformance file, or a file of answers to it, cannot be read."""


class CertificateError(ParserError):
    """A certificate was made for something else than the package that it is to be added to."""


class ReferenceFileError(PackageError):
    """A reference file cannot be read, or is of another parser than the package."""


class GoalError(ParserError):
    """A goal of a check is unknown, or out of its range."""


class ServiceError(ParserError):
    """A service cannot be started as it was asked for."""


class ServiceBusyError(ParserError):
    """A service has as many texts to answer as it takes."""


class DeviceFallback(UserWarning):
    """A GPU was asked for and the CPU runs instead; the message says why."""
