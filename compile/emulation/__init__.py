"""Emulators: how targets of other machines are run on this one, and where the emulators come from.

`python -m compile.emulation.install` fetches them, `compile.emulation.runner.find_runner` chooses one for a variant.
"""
