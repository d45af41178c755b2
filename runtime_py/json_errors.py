"""What reading JSON of others may raise, in one tuple to catch."""

import msgspec

# Deep nesting and invalid UTF-8 are no errors of msgspec's own.
JSON_ERRORS = (msgspec.MsgspecError, UnicodeError, RecursionError)
