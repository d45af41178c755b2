"""The outcome of a check against a reference as tables for people."""

from runtime_py.parity.check import ParityReport, Shown, Utterance
from runtime_py.parity.steps import Figure, Group
from runtime_py.tools.presentation import Table

_SHOWN = 5
_MANY_INTENTS = 10


def parity_tables(report: ParityReport) -> list[Table]:
    """Return the three steps, scores by language and by intent, and the worst utterances."""
    numbers, decisions, task = report.numbers, report.decisions, report.task
    rows: list[tuple[str, ...]] = [
        (
            "numbers",
            f"{numbers.texts} texts against float64, {numbers.settled} of them settled: largest difference "
            f"{numbers.largest_settled:.2e} there, {numbers.largest:.2e} over all",
            _verdict(numbers.failures),
        ),
        (
            "decisions",
            f"{decisions.intent_flips} intents and {decisions.slot_flips} slots of {decisions.texts} texts differ from "
            f"the student's, {decisions.allowed} may",
            _verdict(decisions.failures),
        ),
        ("task", f"exact match {_show(task.exact_match)}", _verdict(task.failures)),
        ("  intents, slot F1", f"{_show(task.intent_accuracy)}, {_show(task.slot_f1)}", ""),
        ("  the student in PyTorch", f"exact match {_show(task.student_exact_match)}", ""),
    ]
    if task.teacher_exact_match is not None and task.retention is not None and task.agreement is not None:
        rows += [
            (f"  the teacher ({', '.join(report.teachers)})", f"exact match {_show(task.teacher_exact_match)}", ""),
            ("  retention", f"{_show(task.retention)}, a paired bootstrap", ""),
            ("  parsed as the teacher does", _show(task.agreement), ""),
        ]
    if decisions.cut:
        rows.append(("  too long for the package", f"{decisions.cut} texts, which count in the task alone", ""))
    rows += [("note", note, "") for note in report.notes]
    tables = [Table(f"against {report.reference}: {report.data}", ("step", "found", "verdict"), rows)]
    if len(task.languages) > 1:
        tables.append(_groups("by language", "language", task.languages))
    if task.intents:
        tables.append(_groups("by intent, most errors first", "intent", task.intents[:_MANY_INTENTS]))
    if report.worst:
        worst = [_worst(one) for one in report.worst[:_SHOWN]]
        columns = ("text", "package", "gold", "teacher", "what")
        tables.append(Table("the worst utterances", columns, worst))
    return tables


def _verdict(failures: list[str]) -> str:
    return "FAILED" if failures else "passed"


def _show(figure: Figure) -> str:
    return f"{figure.value:.2%} [{figure.low:.2%}, {figure.high:.2%}]"


def _groups(title: str, what: str, groups: list[Group]) -> Table:
    rows: list[tuple[str, ...]] = [
        (
            group.name or "unknown",
            f"{group.n}",
            f"{group.exact_match:.1%}",
            f"{group.intent_accuracy:.1%}",
            f"{group.teacher:.1%}" if group.teacher is not None else "",
            f"{group.retention:.1%}" if group.retention is not None else "",
        )
        for group in groups
    ]
    return Table(title, (what, "utterances", "exact match", "intents", "teacher", "retention"), rows)


def _worst(one: Utterance) -> tuple[str, ...]:
    what = [
        word for word, holds in (("differs from the student", one.flipped), ("teacher is right", one.lost)) if holds
    ]
    teacher = _frame(one.teacher, one.text) if one.teacher is not None else ""
    return one.text, _frame(one.package, one.text), _frame(one.gold, one.text), teacher, ", ".join(what) or "wrong"


def _frame(shown: Shown, text: str) -> str:
    intent, slots = shown
    return "; ".join([intent, *(f"{label}: {text[start:end]}" for label, start, end in slots)])
