"""How words are spelled for an encoder that knows one script."""

from __future__ import annotations

from pqrnn.errors import TeacherError


def romanise(text: str) -> str:
    """Return a text in ASCII letters, sound for sound where its script has sounds; what has no letters stays as it is.

    An English encoder has no pieces for most of the world's words and drops vowel signs as accents, yet it knows the
    loanwords once it can read them.

    Raises:
        TeacherError: the package anyascii is not installed.
    """
    try:
        from anyascii import anyascii
    except ImportError as error:
        raise TeacherError(
            "spelling in Latin letters needs the package anyascii: pip install 'pqrnn[teacher]'"
        ) from error
    return anyascii(text) or text
