"""Native parsers from Python, by ctypes: the standard library is all that is needed.

`parser` is a folder of libraries (`pqrnn native`), `package_parser` a library of a package (`pqrnn compile --native`),
whose manifest `packaged` reads. What both do stands in `calling`; `library` opens one, `machine` says which can be.
"""
