"""The file that the library ``tokenizers`` cuts texts by."""

from typing import Any

from runtime_py.errors import PackageError


def load_tokenizer(content: bytes, where: str) -> Any:
    """Return the library's tokenizer, which cuts a whole text and adds nothing to it.

    Args:
        content: The file that the library reads.
        where: How error messages call the file.

    Raises:
        PackageError: The library is not installed, or cannot read the file.
    """
    try:
        from tokenizers import Tokenizer as Library
    except ImportError as error:
        raise PackageError(
            f"{where}: this package cuts words with the library tokenizers, which is not installed: "
            "pip install tokenizers, or 'pqrnn[subwords]'"
        ) from error
    try:
        tokenizer = Library.from_str(content.decode())
    except Exception as error:  # the library raises nothing more particular
        raise PackageError(
            f"{where}: the installed tokenizers cannot read it ({error}). Install the version that the package was "
            "made with, or a newer one."
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
