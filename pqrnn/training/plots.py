"""Learning curves as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime_py.atomic_files import write_atomic


def plot_curves(log: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw loss and development scores against epochs into a PNG, replaced atomically.

    Args:
        log: Records of `pqrnn.training.trainer`, one for each epoch.
        path: Path of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    epochs = [record["epoch"] for record in log]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [record["loss"] for record in log], color="tab:gray")
    left.set(title="training loss (nats an utterance)", xlabel="epoch", yscale="log")
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter("{x:g}")
    for name, colour in (("intent_accuracy", "tab:green"), ("slot_f1", "tab:orange"), ("exact_match", "tab:blue")):
        figures = [record["dev"][name] for record in log]
        label = f"{name.replace('_', ' ')}, best {max(each['value'] for each in figures):.1%}"
        right.plot(epochs, [each["value"] for each in figures], color=colour, label=label)
        right.fill_between(
            epochs,
            [each["low"] for each in figures],
            [each["high"] for each in figures],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
    right.set(title="development split, 95 % bootstrap intervals", xlabel="epoch")
    right.legend(loc="lower right", fontsize="small")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    write_atomic(path, picture.getvalue())
