"""The sections of a report's page."""

from __future__ import annotations

from collections.abc import Sequence

from compile.report import charts
from compile.report.html import Page, figure, table, text_of
from runtime_py.parity.check import Shown, Utterance
from runtime_py.tools.presentation import signature_text

_MARKS = 4  # colours of slots
_SHOWN_INTENTS = 15
_SHOWN_SLOTS = 15


def add_quality(page: Page) -> None:
    """Add scores and the three steps against the reference."""
    parity = page.document.parity
    if parity is None:
        page.add("quality", "Quality", *(f"<p>{text_of(note)}</p>" for note in page.document.notes))
        return
    task = parity.task
    steps = []
    for name, failures in (
        ("numbers", parity.numbers.failures),
        ("decisions", parity.decisions.failures),
        ("task", task.failures),
    ):
        verdict = '<span class="good">passed</span>' if not failures else '<span class="bad">failed</span>'
        steps.append((name, verdict, text_of("; ".join(failures)) or _said(page, name)))
    parts = [table("Three steps of the check", ("step", "verdict", "found"), steps)]
    rows = [("package", task.exact_match), ("student in PyTorch", task.student_exact_match)]
    taught: list[tuple[str, str]] = []
    if task.teacher_exact_match is not None and task.retention is not None and task.agreement is not None:
        rows.append(("teacher", task.teacher_exact_match))
        taught = [("retention", "parity.task.retention"), ("parsed as by the teacher", "parity.task.agreement")]
    parts.append(figure(charts.draw_scores(rows), "Exact match with 95 % bootstrap intervals."))
    figures = [
        ("exact match", "parity.task.exact_match"),
        ("intent accuracy", "parity.task.intent_accuracy"),
        ("slot F1", "parity.task.slot_f1"),
        ("exact match of the student in PyTorch", "parity.task.student_exact_match"),
        *([("exact match of the teacher", "parity.task.teacher_exact_match")] if taught else []),
        *taught,
    ]
    parts.append(
        table(
            "Scores over the utterances of the reference",
            ("figure", "value [95 %]"),
            [(n, page.share(p)) for n, p in figures],
        )
    )
    if len(page.document.points) > 1:
        parts.append(figure(charts.draw_points(page.document.points), "Quality against bytes."))
    for what, field, many in (("language", "languages", 99), ("intent", "intents", _SHOWN_INTENTS)):
        groups = getattr(task, field)[:many]
        if len(groups) > 1:
            parts.append(_groups(page, what, f"parity.task.{field}", len(groups)))
    page.add("quality", "Quality against the teacher", *parts)


def _said(page: Page, step: str) -> str:
    if step == "numbers":
        return (
            f"{page.number('parity.numbers.texts')} texts against float64; largest difference of a logit "
            f"{page.number('parity.numbers.largest_settled', '.2e')} where roundings are settled, "
            f"{page.number('parity.numbers.largest', '.2e')} over all"
        )
    if step == "decisions":
        return (
            f"{page.number('parity.decisions.intent_flips')} intents and {page.number('parity.decisions.slot_flips')} "
            f"sets of slots of {page.number('parity.decisions.texts')} differ from the student's; "
            f"{page.number('parity.decisions.allowed')} may"
        )
    return f"{page.number('parity.task.utterances')} utterances"


def _groups(page: Page, what: str, path: str, count: int) -> str:
    rows = []
    for index in range(count):
        at = f"{path}.{index}"
        rows.append(
            (
                text_of(page.look(f"{at}.name") or "unknown"),
                page.number(f"{at}.n"),
                page.number(f"{at}.exact_match", ".1%"),
                page.number(f"{at}.intent_accuracy", ".1%"),
                page.number(f"{at}.teacher", ".1%"),
                page.number(f"{at}.retention", ".1%"),
            )
        )
    columns = (what, "utterances", "exact match", "intents", "teacher", "retention")
    order = ", those with most errors first" if what == "intent" else ""
    return table(f"By {what}{order}", columns, rows, range(1, 6))


def add_targets(page: Page) -> None:
    """Add every variant with its certificates."""
    rows: list[tuple[str, ...]] = []
    for index, variant in enumerate(page.document.package.variants):
        at = f"package.variants.{index}"
        size = page.number(f"{at}.bytes")
        for number, found in enumerate(variant.certificates):
            where = f"{found.emulator or found.machine}, {found.device}"
            figures = f"{at}.certificates.{number}.figures"
            rows.append(
                (
                    text_of(variant.target),
                    '<span class="good">certified</span>',
                    text_of(where),
                    f"{text_of(found.made_by)}, {text_of(found.checked[:10])}",
                    page.number(f"{at}.certificates.{number}.texts"),
                    page.number(f"{figures}.retention", ".1%") if "retention" in found.figures else "–",
                    page.number(f"{figures}.largest_difference", ".1e")
                    if "largest_difference" in found.figures
                    else "–",
                    size,
                )
            )
        if not variant.certificates:
            why = "; ".join(variant.misfits) or variant.unverified_reason or "no certificate"
            rows.append(
                (text_of(variant.target), '<span class="bad">unverified</span>', text_of(why), *["–"] * 4, size)
            )
    columns = ("target", "state", "where", "made by", "texts", "retention", "largest difference", "bytes")
    page.add(
        "targets", "Targets and certificates", table("Every variant and what proves it", columns, rows, (4, 5, 6, 7))
    )


def add_latency(page: Page) -> None:
    """Add times of calls, and what compiled code costs."""
    parts = []
    if page.document.latency:
        rows = [
            (
                text_of(part.part),
                page.number(f"latency.{index}.median", ".0f"),
                page.number(f"latency.{index}.p90", ".0f"),
                page.number(f"latency.{index}.p99", ".0f"),
                page.number(f"latency.{index}.n"),
            )
            for index, part in enumerate(page.document.latency)
        ]
        parts += [
            figure(charts.draw_latency(page.document.latency), "Wall time of single calls, one after another."),
            table(
                "Microseconds a call on this machine", ("part", "median", "90 %", "99 %", "calls"), rows, range(1, 5)
            ),
        ]
    counted = []
    for index, target in enumerate(page.document.targets):
        for number, entry in enumerate(target.entries):
            at = f"targets.{index}.entries.{number}"
            times = sorted(entry.microseconds)
            counted.append(
                (
                    text_of(f"{target.target}, {entry.entry}"),
                    text_of(target.runner or "not run"),
                    f"{times[len(times) // 2]:.1f}" if times else "–",
                    page.number(f"{at}.instructions_code"),
                    page.number(f"{at}.dispatches"),
                )
            )
    if counted:
        columns = ("target, function", "ran on", "µs, median", "instructions", "launches")
        parts.append(
            table("The compiled code alone: times natively, instructions in emulators", columns, counted, (2, 3, 4))
        )
    if not parts:
        parts.append("<p>Nothing was measured.</p>")
    page.add("latency", "Latency", *parts)


def add_size(page: Page) -> None:
    """Add bytes by part."""
    rows = [
        (text_of(part.part), page.number(f"package.parts.{index}.bytes"))
        for index, part in enumerate(page.document.package.parts)
    ]
    rows += [
        (text_of(f"{target.target}: {what}"), page.number(f"targets.{index}.{field}"))
        for index, target in enumerate(page.document.targets)
        for what, field in (("code", "code_bytes"), ("weights", "weight_bytes"), ("program", "program_bytes"))
    ]
    page.add("size", "Size", table("Bytes by part", ("part", "bytes"), rows, (1,)))


def add_confusions(page: Page) -> None:
    """Add wrong intents and wrong slots."""
    parts = []
    if page.document.confusions:
        rows = [
            (text_of(pair.gold), text_of(pair.package), page.number(f"confusions.{index}.n"))
            for index, pair in enumerate(page.document.confusions)
        ]
        parts.append(table("Intents that are taken for another", ("gold", "package", "utterances"), rows, (2,)))
    wrong = [row for row in page.document.slots if row.gold != row.right or row.invented][:_SHOWN_SLOTS]
    if wrong:
        kinds = ("gold", "right", "missed", "other_label", "other_span", "invented")
        slots: list[tuple[str, ...]] = [
            (text_of(row.label), *(page.number(f"slots.{page.document.slots.index(row)}.{kind}") for kind in kinds))
            for row in wrong
        ]
        parts += [
            figure(charts.draw_slots(wrong), "What goes wrong with slots."),
            table(
                "Slots, those with most errors first",
                ("slot", *(kind.replace("_", " ") for kind in kinds)),
                slots,
                range(1, 7),
            ),
        ]
    if parts:
        page.add("errors", "Errors", *parts)


def add_worst(page: Page) -> None:
    """Add the worst utterances, with their slots marked."""
    parity = page.document.parity
    if parity is not None and parity.worst:
        page.add("worst", "The worst utterances", *(_utterance(one) for one in parity.worst))


def _utterance(one: Utterance) -> str:
    labels = list(dict.fromkeys(label for shown in (one.gold, one.package) for label, _, _ in shown[1]))
    marks = [
        word for word, holds in (("differs from the student", one.flipped), ("the teacher is right", one.lost)) if holds
    ]
    rows = [("package", one.package), ("gold", one.gold), ("teacher", one.teacher)]
    lines = "".join(
        f"<dt>{who}</dt><dd><strong>{text_of(shown[0] or 'nothing')}</strong><br>{_spans(one.text, shown, labels)}</dd>"
        for who, shown in rows
        if shown is not None
    )
    note = f'<span class="soft"> ({text_of(", ".join(marks))})</span>' if marks else ""
    return f'<article class="utterance"><h3>{text_of(one.text)}{note}</h3><dl>{lines}</dl></article>'


def _spans(text: str, shown: Shown, labels: Sequence[str]) -> str:
    """Return a text with its slots marked: by colour, and by their names beside them."""
    parts, at = [], 0
    for label, start, end in sorted(shown[1], key=lambda slot: (slot[1], slot[2])):
        if start < at:  # overlapping gold slots: named, not marked
            parts.append(f"<small> +{text_of(label)}: {text_of(text[start:end])}</small>")
            continue
        kind = labels.index(label) % _MARKS if label in labels else 0
        parts.append(text_of(text[at:start]))
        parts.append(f'<mark class="m{kind}">{text_of(text[start:end])}<small>{text_of(label)}</small></mark>')
        at = end
    return "".join([*parts, text_of(text[at:])])


def add_noise(page: Page) -> None:
    """Add what each layer loses in 8 bits."""
    if not page.document.noise:
        return
    rows = [
        (
            text_of(row.layer),
            page.number(f"noise.{index}.signal_to_noise", ".1f"),
            page.number(f"noise.{index}.saturated", ".2%"),
            page.number(f"noise.{index}.values"),
        )
        for index, row in enumerate(page.document.noise)
    ]
    columns = ("layer", "signal to noise, dB", "at the end of the range", "values")
    page.add(
        "noise",
        "Sensitivity to 8 bits",
        "<p>What rounding each layer's inputs to 8 bits adds as noise. The layer with the least signal to noise is the "
        "first to look at.</p>",
        figure(charts.draw_noise(page.document.noise), "Signal to noise by layer."),
        table("Roundings by layer", columns, rows, (1, 2, 3)),
    )


def add_environment(page: Page) -> None:
    """Add machine, versions and origins."""
    facts = page.document.package
    rows = [(text_of(name), text_of(value)) for name, value in page.document.environment.items()]
    rows += [
        ("package format", text_of(facts.schema)),
        (
            "compiled by",
            text_of(f"pqrnn {facts.producer.pqrnn}, iree {facts.producer.iree_compiler}, torch {facts.producer.torch}"),
        ),
        ("revision", text_of(facts.revision or "unknown")),
        ("training data", text_of(facts.data_fingerprint or "unknown")),
        ("digest of the package", text_of(facts.digest or "none")),
        ("signed by", text_of("; ".join(map(signature_text, facts.signatures)) or "nobody")),
    ]
    if page.document.parity is not None:
        rows += [
            ("reference", text_of(page.document.parity.digest)),
            ("utterances", text_of(page.document.parity.fingerprint)),
        ]
    notes = "".join(f"<p>{text_of(note)}</p>" for note in page.document.notes)
    page.add("environment", "Environment", table("Where and from what this was made", ("what", "value"), rows), notes)
