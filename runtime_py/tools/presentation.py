"""The texts and tables in which a parse, a check, a benchmark or a package is shown, without colours.

Both command lines print these: `pqrnn` of the workstation with colours, the one of the board (`runtime_py.cli`) as
plain columns.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from runtime_py.terminal import printable, printable_json

if TYPE_CHECKING:
    from runtime_py.decode.answers import Parse, Slot
    from runtime_py.package_format.manifest import Budget
    from runtime_py.tools.bench import BenchResult
    from runtime_py.tools.check import CheckResult
    from runtime_py.tools.full_check import FullCheck
    from runtime_py.tools.inspect import LibraryFacts, PackageFacts, VariantFacts
    from runtime_py.trust.signatures import Signed


class Table(NamedTuple):
    """A table for people.

    Attributes:
        title: What stands above it.
        columns: Names of the columns.
        rows: Cells of each row, as many as there are columns.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def json_text(document: Any) -> str:
    """Return a document as indented JSON; structs and dataclasses are taken apart."""
    return printable_json(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def parse_line(parse: "Parse") -> str:
    """Return a parse as one line of JSON."""
    return printable_json(msgspec.json.encode(parse.to_dict()).decode())


def commands_line(text: str, parses: Sequence["Parse"]) -> str:
    """Return the parses of a sentence's commands as one line of JSON."""
    document = {"text": text, "commands": [parse.to_dict() for parse in parses]}
    return printable_json(msgspec.json.encode(document).decode())


def parse_text(parse: "Parse") -> str:
    """Return a parse for people: the intent, and below it a line for each slot."""
    cut = "  (text cut)" if parse.truncated else ""
    rejected = "  rejected" if parse.outcome == "rejected" else ""
    slots = [f"    {slot.label}: {slot.text}  [{slot.start}:{slot.end}]{_value_text(slot)}" for slot in parse.slots]
    others = [f"    or {other.intent}  {other.score:.2f}" for other in parse.alternatives[1:]]
    lines = [f"{parse.intent}  {parse.score:.2f}{rejected}{cut}  {parse.text}", *slots, *others]
    return "\n".join(map(printable, lines))


def _value_text(slot: "Slot") -> str:
    """Return what a slot stands for, behind an arrow; nothing for a slot of which that is not asked."""
    return "" if slot.value is None else f"  → {slot.value}"


def full_check_document(result: "FullCheck") -> dict[str, Any]:
    """Return the JSON document of a whole check."""
    return {
        "golden": result.golden,
        "parity": result.parity,
        "certificate": result.certificate,
        "passed": result.exit_code == 0,
        "exit_code": result.exit_code,
        "failures": result.failures,
    }


def check_table(result: "CheckResult", certified: bool = False) -> Table:
    """Return the rows of a check, and whether its outcome was added to the package."""
    parity = result.parity
    rows: list[tuple[str, ...]] = [
        ("variant", result.reason, ""),
        (
            "golden vectors",
            f"{parity.texts} texts, {parity.words} words, {parity.repeats} times",
            "passed" if parity.passed else "FAILED",
        ),
        (
            "largest logit difference",
            f"{max(parity.intent_max_abs, parity.tags_max_abs):.2e}, allowed {parity.tolerance:.2e}",
            "",
        ),
        ("flips", f"{parity.intent_flips} intents, {parity.tag_flips} tags, {parity.decision_flips} parses", ""),
    ]
    if certified:
        rows.append(("certificate", "added to the package", ""))
    return Table(f"{result.package}, {result.target}", ("check", "found", "verdict"), rows)


def bench_tables(result: "BenchResult") -> list[Table]:
    """Return the figures of a benchmark, and the same by length."""
    rows: list[tuple[str, ...]] = [
        ("package", f"{result.total_bytes:,} bytes"),
        *((f"  {part.part}", f"{part.bytes:,} bytes") for part in result.parts),
    ]
    rows += [
        ("load", f"{result.load_seconds * 1e3:.1f} ms"),
        ("first call", f"{result.first_call_seconds * 1e3:.2f} ms"),
    ]
    if result.cold_start is not None:
        cold = result.cold_start
        start = cold.import_seconds + cold.load_seconds + cold.first_call_seconds
        rows.append(("fresh process: import, load, first call", f"{start * 1e3:.0f} ms"))
        rows.append(("  of that the import", f"{cold.import_seconds * 1e3:.0f} ms"))
    rows += [
        (
            "steady state: text to parse",
            f"{result.call.median:.0f} us median, {result.call.p90:.0f} us at 90 %, n = {result.call.n}",
        ),
        ("  bytes to logits", f"{result.logits.median:.0f} us"),
        ("  compiled function alone", f"{result.kernel.median:.0f} us"),
        ("  Python and decoding", f"{result.overhead:.0f} us"),
        ("texts that needed a second bucket", f"{result.texts_rerun} of {result.texts}"),
        ("memory", f"{result.resident / 1e6:.0f} MB resident, {result.peak / 1e6:.0f} MB peak"),
        ("processor time over wall time", f"{result.cpu_per_wall:.2f}"),
    ]
    lengths: list[tuple[str, ...]] = [
        (
            f"{bucket.words} words, {bucket.bytes} bytes",
            str(bucket.texts),
            f"{bucket.call.median:.0f}",
            f"{bucket.logits.median:.0f}",
            f"{bucket.kernel.median:.0f}",
        )
        for bucket in result.buckets
    ]
    title = f"{result.package}, {result.target}, {result.threads} thread(s), {result.machine}"
    return [
        Table(title, ("figure", "value"), rows),
        Table("by length bucket, median us", ("bucket", "texts", "parse", "logits", "compiled"), lengths),
    ]


def inspect_tables(facts: "PackageFacts") -> list[Table]:
    """Return the facts of a package, and its variants."""
    producer = facts.producer
    rows: list[tuple[str, ...]] = [
        ("name", facts.name),
        ("created", facts.created),
        ("made by", f"pqrnn {producer.pqrnn}, compiler {producer.iree_compiler}, torch {producer.torch}"),
        ("schema, abi", f"{facts.schema}, {facts.abi}"),
        ("digest", facts.digest or "none: made before schema 1.6"),
        ("signed by", "; ".join(map(signature_text, facts.signatures)) or "nobody"),
        ("model", f"{facts.parameters:,} parameters, {facts.precision}, revision {facts.revision[:12] or 'unknown'}"),
        ("labels", f"{len(facts.intents)} intents, {len(facts.slot_labels)} slots"),
        ("length buckets", ", ".join(f"{bucket.words} words in {bucket.bytes} bytes" for bucket in facts.buckets)),
        *([("budgets", ", ".join(map(budget_text, facts.budgets)))] if facts.budgets else []),
        ("golden vectors", f"{facts.golden_texts} texts, {facts.golden_words} words, tolerance {facts.tolerance:.2e}"),
        ("taken here", facts.choice or "no variant runs on this machine"),
        ("size", f"{facts.total_bytes:,} bytes: " + ", ".join(f"{part.part} {part.bytes:,}" for part in facts.parts)),
    ]
    variants: list[tuple[str, ...]] = [
        (
            variant.target,
            variant.triple,
            f"{variant.bytes:,}",
            _verified(variant),
            f"no: {variant.why_not}" if variant.why_not else _taken(variant),
        )
        for variant in facts.variants
    ]
    return [
        Table(facts.path, ("fact", "value"), rows),
        Table("variants", ("target", "triple", "bytes", "verified", "runs here"), variants),
        *_library_tables(facts),
        *_certificate_tables(facts),
    ]


def _library_tables(facts: "PackageFacts") -> list[Table]:
    rows: list[tuple[str, ...]] = [
        (
            library.target,
            library.triple,
            f"{library.bytes:,}",
            f"{library.memory:,}",
            _verified(library),
            "yes" if library.runs_here else f"no: {library.why_not}",
        )
        for library in facts.libraries
    ]
    columns = ("target", "triple", "bytes", "memory", "verified", "runs here")
    return [Table("native libraries", columns, rows)] if rows else []


def budget_text(budget: "Budget") -> str:
    """Return a part of the network for people: what it costs, and how good it is."""
    return f"{budget.name} ({budget.share:.0%} of the multiplications, exact match {budget.exact_match:.1%})"


def signature_text(signed: "Signed") -> str:
    """Return a signature for people: the key that it names, and whether that key really signed."""
    if signed.problem:
        return f"{signed.fingerprint[:16] or signed.file}: NOT VERIFIED, {signed.problem}"
    if signed.verified:
        return f"{signed.fingerprint[:16]}: verified"
    return f"{signed.fingerprint[:16]}: not verified, its key is not in $PQRNN_REQUIRE_SIGNATURE"


def _certificate_tables(facts: "PackageFacts") -> list[Table]:
    """Return a table with a row for each certificate, and one for each variant or library that has none."""
    rows: list[tuple[str, ...]] = []
    named: list[tuple[str, VariantFacts | LibraryFacts]] = [(each.target, each) for each in facts.variants]
    named += [(f"{each.target}, native", each) for each in facts.libraries]
    for name, code in named:
        rows += [
            (
                name,
                f"{found.emulator or found.machine}, {found.device}",
                f"{found.made_by}, {found.checked[:10]}",
                f"{found.texts} texts, largest difference {found.figures.get('largest_difference', 0.0):.2e}",
                _quality(found.figures),
            )
            for found in code.certificates
        ]
        rows += [(name, "refused", "", misfit, "") for misfit in code.misfits]
        if not code.certificates:
            rows.append((name, "unverified" if not code.verified else "no certificate", "", "", ""))
    columns = ("target", "where", "made by", "golden vectors", "against the teacher")
    return [Table("certificates", columns, rows)] if rows else []


def _quality(figures: dict[str, float]) -> str:
    parts = [
        f"{name.replace('_', ' ')} {figures[name]:.2%}" for name in ("exact_match", "retention") if name in figures
    ]
    if "intent_flips" in figures:
        parts.append(f"{figures['intent_flips']:.0f} intents and {figures['slot_flips']:.0f} slots flipped")
    return ", ".join(parts)


def _verified(variant: "VariantFacts | LibraryFacts") -> str:
    if not variant.verified:
        return f"no: {variant.unverified_reason or 'it failed its check'}"
    return f"yes, in {variant.parity.emulator}" if variant.parity is not None and variant.parity.emulator else "yes"


def _taken(variant: "VariantFacts") -> str:
    return "yes, taken" if variant.chosen_here else f"yes, but {variant.why_not_chosen}"


def plain_text(table: Table) -> str:
    """Return a table as a title and columns of plain text."""
    lines: Sequence[tuple[str, ...]] = [tuple(map(printable, row)) for row in (table.columns, *table.rows)]
    widths = [max(len(row[column]) for row in lines) for column in range(len(table.columns))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in lines]
    return "\n".join([printable(table.title, lines=True), *(f"  {line}" for line in shown)])
