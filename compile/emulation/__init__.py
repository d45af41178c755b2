"""Emulators: where targets of other machines are run on this one, and how they get here.

`python -m compile.emulation.install` fetches them, `compile.emulation.runner.find_runner` chooses one for a variant.
"""
