"""The picture of the front page: bytes, one tensor program, intent and slots, and what that costs.

`python -m benchmarks.readme` writes it to `results/overview.svg`. The parse is that of the zoo's `mtop-en`.
"""

from __future__ import annotations

from html import escape

from benchmarks.highlights import render_figure

TEXT = "remind me to water the plants on Friday"
INTENT, SCORE = "IN:CREATE_REMINDER", "0.93"
SLOTS = {"me": "SL:PERSON_REMINDED", "water the plants": "SL:TODO", "on Friday": "SL:DATE_TIME"}

_WIDTH, _HEIGHT = 1200, 470
_SANS = "-apple-system, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"
_MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_INK, _GREY, _LINE, _BLUE = "#1f2328", "#59636e", "#d1d9e0", "#0550ae"
_SLOT_COLORS = (("#fff1e5", "#953800"), ("#dafbe1", "#116329"), ("#fbefff", "#6639ba"))
_STAGES = (
    ("decode", "UTF-8 at every byte at once"),
    ("words", "segmentation, offsets kept"),
    ("features", "hashes to {−1, 0, +1}"),
    ("encoder", "2 × bidirectional QRNN, int8"),
    ("heads", "intent, a tag for each word"),
)


def draw_overview() -> str:
    """Return the picture as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'role="img" aria-label="UTF-8 bytes go into one compiled tensor program; an intent and slots come out">',
        _box(0.5, 0.5, _WIDTH - 1, _HEIGHT - 1, "#ffffff", _LINE, 12),
        *_draw_input(),
        _arrow(370, 412),
        *_draw_program(),
        _arrow(780, 812),
        *_draw_output(),
        *_draw_figures(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _draw_input() -> list[str]:
    data = TEXT.encode()
    rows = [" ".join(f"{byte:02x}" for byte in data[start : start + 10]) for start in range(0, len(data), 10)]
    return [
        _text(40, 52, "UTF-8 bytes in", 20, _INK, bold=True),
        _text(40, 98, "“remind me to water", 19, _INK),
        _text(40, 124, " the plants on Friday”", 19, _INK),
        _box(40, 146, 320, 30 + 26 * len(rows), "#f6f8fa", _LINE, 8),
        *(_text(56, 178 + 26 * index, row, 15.5, _GREY, font=_MONO) for index, row in enumerate(rows)),
        _text(40, 310, "no tokenizer, no vocabulary file", 15, _GREY),
    ]


def _draw_program() -> list[str]:
    lines = [
        _text(425, 52, "one compiled tensor program", 20, _INK, bold=True),
        _box(425, 74, 345, 246, "#ddf4ff", "#54aeff", 10),
    ]
    for index, (name, detail) in enumerate(_STAGES):
        top = 88 + 45 * index
        lines += [
            _box(439, top, 317, 38, "#ffffff", "#b6e3ff", 6),
            _text(452, top + 25, name, 16, _BLUE, bold=True),
            _text(540, top + 25, detail, 14, _GREY),
        ]
    return lines


def _draw_output() -> list[str]:
    lines = [
        _text(820, 52, "intent and slots out", 20, _INK, bold=True),
        _box(820, 74, 345, 52, "#f6f8fa", _LINE, 8),
        _text(836, 107, INTENT, 17, _BLUE, bold=True, font=_MONO),
        _text(1149, 107, SCORE, 17, _GREY, anchor="end", font=_MONO),
    ]
    for index, ((value, label), (fill, ink)) in enumerate(zip(SLOTS.items(), _SLOT_COLORS, strict=True)):
        top = 138 + 62 * index
        begin = TEXT.index(value)
        lines += [
            _box(820, top, 345, 54, fill, fill, 8),
            _text(836, top + 23, label, 14, ink, font=_MONO),
            _text(836, top + 44, value, 17, _INK),
            _text(1149, top + 44, f"[{begin}:{begin + len(value)}]", 14, _GREY, anchor="end", font=_MONO),
        ]
    return lines


def _draw_figures() -> list[str]:
    figures = (
        (f"{render_figure('package MB')} MB", "the whole package, int8"),
        (f"{render_figure('native us')} µs", "a call, one core of a server"),
        (
            render_figure("exact match"),
            f"exact match on MTOP English; teacher, {render_figure('teacher M')} M: "
            f"{render_figure('teacher exact match')}",
        ),
        (
            f"{render_figure('intent flips')} of {render_figure('utterances')}",
            "test utterances decided otherwise than in PyTorch",
        ),
    )
    lines = [f'<line x1="40" y1="345" x2="1165" y2="345" stroke="{_LINE}"/>']
    for left, (figure, meaning) in zip((40, 290, 520, 865), figures, strict=True):
        lines.append(_text(left, 397, figure, 32, _INK, bold=True))
        lines += [_text(left, 424 + 20 * index, line, 14.5, _GREY) for index, line in enumerate(_wrap(meaning, 38))]
    return lines


def _wrap(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _box(left: float, top: float, width: float, height: float, fill: str, stroke: str, radius: float) -> str:
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="{radius}" fill="{fill}" stroke="{stroke}"/>'
    )


def _text(
    left: float,
    baseline: float,
    text: str,
    size: float,
    color: str,
    *,
    bold: bool = False,
    anchor: str = "start",
    font: str = _SANS,
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{left}" y="{baseline}" font-family="{font}" font-size="{size}"{weight} fill="{color}" '
        f'text-anchor="{anchor}" xml:space="preserve">{escape(text)}</text>'
    )


def _arrow(left: float, right: float) -> str:
    return (
        f'<path d="M {left} 197 H {right - 10}" stroke="{_GREY}" stroke-width="2.5" fill="none"/>'
        f'<path d="M {right - 12} 190 L {right} 197 L {right - 12} 204 Z" fill="{_GREY}"/>'
    )
