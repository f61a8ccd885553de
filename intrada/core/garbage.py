"""When Python looks for cycles of objects that nothing refers to.

It looks through all objects whenever their number has grown by a quarter, and again at the exit. The modules
that a program imports are a million objects that live to its end. To look through them again and again takes
a quarter of the time in which torch, DVC or Snakemake start.
"""

from __future__ import annotations

import atexit
import gc

_MANY = 100_000  # new objects before a search among them; Python's own number is 700


def postpone() -> None:
    """Search for no garbage until `resume`, and not at the exit. Call it before the imports of a program."""
    gc.disable()
    atexit.register(gc.freeze)


def resume() -> None:
    """Search for garbage as Python does, but not among the objects that exist now."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def search_rarely() -> None:
    """Search for garbage less often, and not at the exit: for a process that mostly starts and waits."""
    gc.freeze()
    gc.set_threshold(_MANY, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)
