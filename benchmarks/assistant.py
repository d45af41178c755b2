"""What a parser in a house has to do beyond parsing: say how sure it is, and refuse what it is not for.

    # calibrate a copy of each parser of the zoo on development data, and measure it on the test splits
    python -m benchmarks.assistant scores --data DATA [--only mtop-en] [--into pqrnn/zoo/checkpoints]
    # sentences of two commands, joined from test utterances, and all single ones
    python -m benchmarks.assistant several --data DATA [--only mtop-en]
    # names that no training utterance has, without and with a list of them
    python -m benchmarks.assistant names [--only mtop-en]

The test split is looked at once per reported row; calibrations are fitted on development data, texts out of scope
included. "other kinds" are intents of MASSIVE of which no utterance was among the texts that were fitted on. With
`--into` the calibration is also given to the parser on that shelf, whose digests have to follow (`pqrnn.zoo.shipped`).
A joined sentence is right if it is cut where it was joined, and there only; a test utterance that is cut at all is a
false split. Rows are kept in `results/assistant.json`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.results import merge_results, tell_command
from pqrnn import calibrate
from pqrnn.checkpoint import load_checkpoint
from pqrnn.data.examples import Example
from pqrnn.data.hassil.loading import NONE
from pqrnn.data.loader import load_examples
from pqrnn.evaluation.calibrating import are_right
from pqrnn.evaluation.metrics import area_under_curve, calibration_error
from pqrnn.evaluation.prediction import Prediction, compute_logits, decide
from pqrnn.evaluation.results import ResultRow
from pqrnn.zoo.adding import recalibrate
from pqrnn.zoo.shelf import SHIPPED
from runtime_py.commands import find_cuts, split_commands
from runtime_py.decode.answers import Parse
from runtime_py.decode.calibration import Calibration
from runtime_py.decode.decoder import Decoder
from runtime_py.parity.metrics import make_estimate
from runtime_py.values.parsing import KnownNames

NAME = "assistant"
# Intents of MASSIVE and domains of CLINC150 that no other parser of the zoo is for.
FITTED_KINDS = ("iot_*", "qa_*", "general_joke", "lists_*")
OTHER_KINDS = ("transport_*", "takeaway_order", "social_*")
# A house has switches and lists: what is out of scope of Home Assistant's sentences is something else.
HOUSE_FITTED_KINDS = ("qa_*", "general_joke", "email_*")
_CLINC_DOMAINS = ("banking", "credit_cards", "auto_and_commute", "travel", "small_talk")
_OOS = "oos"


class Work(NamedTuple):
    """A parser of the zoo and its data.

    Attributes:
        data: The data set, below the folder of all, or what `pqrnn train --data` takes.
        language: Its language; None for all of the data.
        clinc: Whether texts of CLINC150 are out of its scope.
        massive: The intents of MASSIVE that are, for the calibration; others of it are measured, too.
        out_of_scope: The intent by which its own data call utterances out of scope.
    """

    data: str
    language: str | None
    clinc: bool = False
    massive: tuple[str, ...] = FITTED_KINDS
    out_of_scope: str = ""

    def source(self, folder: Path) -> str:
        """Return what `load_examples` takes."""
        return self.data if ":" in self.data else str(folder / self.data)


WORKS = {
    "mtop-en": Work("mtop/spans", "en", clinc=True),
    **{f"mtop-{language}": Work("mtop/spans", language) for language in ("de", "es", "fr", "hi", "th")},
    "mtop-six": Work("mtop/spans", None),
    "snips-en": Work("snips", "en", clinc=True),
    "massive-en": Work("massive", "en", clinc=True, massive=()),
    "clinc150-en": Work("clinc150", "en", massive=(), out_of_scope=_OOS),
    **{
        f"home-assistant-{language}": Work(
            f"hassil:{language}", language, clinc=language == "en", massive=HOUSE_FITTED_KINDS, out_of_scope=NONE
        )
        for language in ("en", "de", "es", "fr", "hi", "th")
    },
}
# What joins two utterances in each language.
JOINING = {
    "mtop-en": (" and ", " and then ", ", ", ". "),
    "mtop-de": (" und ", " und dann ", ", ", ". "),
    "mtop-es": (" y ", " y luego ", ", ", ". "),
    "mtop-fr": (" et ", " et puis ", ", ", ". "),
    "mtop-hi": (" और ", " और फिर ", ", ", "। "),
    "mtop-th": ("และ", "แล้วก็", " แล้ว ", " และ "),
    "snips-en": (" and ", " and then ", ", ", ". "),
}
_JOINED = 600  # sentences
# Utterances with a name, as MTOP has them, and the slot that the name fills.
NAMING = {
    "mtop-en": (("call {}", "CONTACT"), ("send a message to {}", "RECIPIENT"), ("please call {} now", "CONTACT")),
    "mtop-de": (
        ("ruf {} an", "CONTACT"),
        ("schick eine Nachricht an {}", "RECIPIENT"),
        ("bitte {} anrufen", "CONTACT"),
    ),
    "mtop-es": (("llama a {}", "CONTACT"), ("envía un mensaje a {}", "RECIPIENT"), ("llama a {} ahora", "CONTACT")),
    "mtop-fr": (
        ("appelle {}", "CONTACT"),
        ("envoie un message à {}", "RECIPIENT"),
        ("appelle {} maintenant", "CONTACT"),
    ),
    "mtop-hi": (("{} को कॉल करें", "CONTACT"), ("{} को संदेश भेजें", "RECIPIENT"), ("कृपया {} को कॉल करो", "CONTACT")),
    "mtop-th": (("โทรหา {}", "CONTACT"), ("ส่งข้อความถึง {}", "RECIPIENT"), ("ช่วยโทรหา {}", "CONTACT")),
}
NAMES = (
    "kid-2",
    "A&B",
    "room 12b",
    "Xochitl",
    "Xochitl's room",
    "Jean-Luc O'Neill",
    "D'Angelo & Sons",
    "Müller-Lüdenscheidt",
    "unit 7/3",
    "R2-D2",
    "Zoë",
    "Nguyễn Thị Minh",
    "Wi-Fi guy",
    "dad's work 2",
    "ชาติชาย",
    "अद्वैत",
)
_ALL = {"scores": tuple(WORKS), "several": tuple(JOINING), "names": tuple(NAMING)}
_MARKS = ".?!। "


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("scores", "several", "names"), help="what is measured")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--only", action="append", choices=tuple(WORKS), help="only this parser; again for more")
    parser.add_argument("--into", type=Path, help="shelf whose parsers are given the calibrations")
    arguments = parser.parse_args()
    for name in arguments.only or _ALL[arguments.what]:
        if arguments.what == "scores":
            rows = measure_scores(name, arguments.data, arguments.into)
        else:
            rows = measure_several(name, arguments.data) if arguments.what == "several" else measure_names(name)
        for row in rows:
            print(f"{row.work:12} {row.metric:44} {row.value:.4f}  n {row.n}", flush=True)
        merge_results(NAME, rows, tell_command("benchmarks.assistant"))


def measure_scores(name: str, folder: Path, shelf: Path | None) -> list[ResultRow]:
    """Calibrate a copy of a parser, and return rows about its scores on the test split."""
    work = WORKS[name]
    sources = {"clinc150": _name_clinc(folder)} if work.clinc else {}
    if work.massive:
        sources["massive"] = work.massive
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary) / name
        calibration = calibrate(
            SHIPPED / name,
            work.source(folder),
            out=run,
            out_of_scope=[f"{folder / source}#{','.join(intents)}" for source, intents in sources.items()],
            out_of_scope_intent=work.out_of_scope,
            lang=work.language,
        )
        if shelf is not None:
            recalibrate(shelf / name, calibration, list(sources))
        checkpoint = load_checkpoint(run)
    model, labels = checkpoint.model, checkpoint.facts.labels
    decoder = labels.decoder(calibration)
    examples = load_examples(work.source(folder), split="test", locale=work.language)
    answers = compute_logits(model, [example.text for example in examples])
    inside = [row for row, each in enumerate(examples) if not work.out_of_scope or each.intent != work.out_of_scope]
    groups: dict[str, list[Prediction]] = {}
    if work.out_of_scope:
        own = f"{'CLINC150' if work.data == 'clinc150' else 'its own'}, out of scope"
        groups[own] = [answers[row] for row in sorted(set(range(len(answers))) - set(inside))]
    others = {}
    if work.clinc:
        others["CLINC150, out of scope"] = _load_some(folder / "clinc150", "en", (_OOS,))
    if work.massive:
        others["MASSIVE, kinds that were fitted on"] = _load_some(folder / "massive", work.language, work.massive)
        others["MASSIVE, other kinds"] = _load_some(folder / "massive", work.language, OTHER_KINDS)
    groups |= {group: compute_logits(model, [example.text for example in some]) for group, some in others.items()}
    return [
        *_describe_calibration(name, decoder, [examples[row] for row in inside], [answers[row] for row in inside]),
        *_describe_scope(name, decoder, calibration, [answers[row] for row in inside], groups),
    ]


def measure_several(name: str, folder: Path) -> list[ResultRow]:
    """Return how often joined test utterances are cut where they were joined, and single ones by mistake."""
    work = WORKS[name]
    checkpoint = load_checkpoint(SHIPPED / name)
    model, decoder = checkpoint.model, checkpoint.facts.labels.decoder(checkpoint.facts.calibration)
    examples = load_examples(work.source(folder), split="test", locale=work.language)
    random = np.random.default_rng(0)
    joined, cuts = [], []
    for index in range(_JOINED):
        first, second = (examples[row].text for row in random.choice(len(examples), 2, replace=False))
        first = first.rstrip(_MARKS)
        connective = JOINING[name][index % len(JOINING[name])]
        joined.append(first + connective + second)
        cuts.append(len(first + connective))
    known: dict[str, Parse] = {}

    def split(texts: Sequence[str]) -> list[list[Parse]]:
        """Split texts; what has to be parsed for that is found first, and parsed together."""
        wanted = dict.fromkeys(part for text in texts for part in _list_parts(text) if part not in known)
        answers = compute_logits(model, list(wanted))
        known.update(zip(wanted, decide(decoder, list(wanted), answers), strict=True))
        return [split_commands(text, known.__getitem__) for text in texts]

    found = np.array(
        [[parse.offset for parse in parses] == [0, cut] for parses, cut in zip(split(joined), cuts, strict=True)]
    )
    texts = [example.text for example in examples]
    several = [text for text in texts if find_cuts(text)]
    falsely = np.zeros(len(texts), bool)
    falsely[: len(several)] = [len(parses) > 1 for parses in split(several)]
    return [_share(name, "joined sentences right", found), _share(name, "false splits", falsely)]


def measure_names(name: str) -> list[ResultRow]:
    """Return how often a slot is just the name, for names that training data do not have."""
    checkpoint = load_checkpoint(SHIPPED / name)
    labels = checkpoint.facts.labels
    decoder = labels.decoder(checkpoint.facts.calibration)
    wanted = [(text.format(each), f"SL:{slot}", each) for text, slot in NAMING[name] for each in NAMES]
    texts = [text for text, _, _ in wanted]
    answers = compute_logits(checkpoint.model, texts)
    known = KnownNames({"CONTACT": NAMES, "RECIPIENT": NAMES}, labels.tags)
    favoured = [
        answer._replace(tags=known.favour(answer.tags, answer.spans, text.encode()))
        for text, answer in zip(texts, answers, strict=True)
    ]
    rows = []
    for metric, given in (("unseen names right", answers), ("unseen names right, with a list of them", favoured)):
        parses = decide(decoder, texts, given)
        right = [
            [(slot.label, slot.text) for slot in parse.slots if slot.label in known.names] == [(label, each)]
            for parse, (_, label, each) in zip(parses, wanted, strict=True)
        ]
        rows.append(_share(name, metric, np.array(right)))
        missed = sorted({each for (_, _, each), hit in zip(wanted, right, strict=True) if not hit})
        print(f"{name}: {metric}: wrong at least once: {', '.join(missed) or 'none'}")
    return rows


def _list_parts(text: str) -> list[str]:
    parts: list[str] = []

    def note(part: str) -> Parse:
        parts.append(part)
        return Parse("", 0.5, (), part, False, 0)

    split_commands(text, note)
    return parts


def _describe_calibration(
    name: str, decoder: Decoder, examples: Sequence[Example], answers: Sequence[Prediction]
) -> list[ResultRow]:
    right = are_right(decoder, examples, answers)
    scores = np.array([parse.score for parse in decide(decoder, [each.text for each in examples], answers)])
    plain = Decoder.__new__(Decoder)
    for slot in Decoder.__slots__:
        setattr(plain, slot, getattr(decoder, slot))
    plain.calibration = None
    softmax = np.array([parse.score for parse in decide(plain, [each.text for each in examples], answers)])
    return [
        _row(
            name,
            "calibration error",
            calibration_error(softmax, right),
            len(right),
            _bootstrap(softmax, right),
            "before",
        ),
        _row(name, "calibration error", calibration_error(scores, right), len(right), _bootstrap(scores, right)),
    ]


def _describe_scope(
    name: str,
    decoder: Decoder,
    calibration: Calibration,
    inside: Sequence[Prediction],
    groups: dict[str, list[Prediction]],
) -> list[ResultRow]:
    threshold = calibration.recommended
    mine = _measure(decoder, inside, threshold.of)
    rows = [_share(name, "in scope kept", mine >= threshold.least)]
    surest = np.array([_softmax(answer) for answer in inside])
    for group, answers in groups.items():
        theirs = _measure(decoder, answers, threshold.of)
        rows.append(_share(name, f"out of scope refused, {group}", theirs < threshold.least))
        before = area_under_curve(surest, np.array([_softmax(answer) for answer in answers]))
        after = area_under_curve(mine, theirs)
        for curve, note in ((before, "before"), (after, "")):
            rows.append(_row(name, f"AUROC, {group}", curve.value, curve.n, (curve.low, curve.high), note))
    return rows


def _measure(decoder: Decoder, answers: Sequence[Prediction], of: str) -> npt.NDArray[np.float64]:
    """Return what has to reach the threshold; where the words lie is of no concern."""
    flat = [answer._replace(spans=np.zeros_like(answer.spans)) for answer in answers]
    parses = decide(decoder, ["-"] * len(flat), flat)
    return np.array([parse.in_scope if of == "in_scope" else parse.score for parse in parses], np.float64)


def _softmax(answer: Prediction) -> float:
    logits = answer.intent.astype(np.float64)
    return float(1 / np.exp(logits - logits.max()).sum())


def _load_some(data: Path, language: str | None, patterns: Sequence[str]) -> list[Example]:
    examples = load_examples(str(data), split="test", locale=language)
    chosen = [each for each in examples if any(fnmatchcase(each.intent, pattern) for pattern in patterns)]
    return chosen[:: -(-len(chosen) // 1500)]


def _name_clinc(folder: Path) -> tuple[str, ...]:
    domains = json.loads((folder / "clinc150/domains.json").read_bytes())
    return (_OOS, *(intent for domain in _CLINC_DOMAINS for intent in domains[domain]))


def _bootstrap(scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    draws = np.random.default_rng(0).integers(0, len(right), (1000, len(right)))
    found = make_estimate(0.0, np.array([calibration_error(scores[draw], right[draw]) for draw in draws]), len(right))
    return found.low, found.high


def _share(name: str, metric: str, hits: npt.NDArray[np.bool_]) -> ResultRow:
    draws = np.random.default_rng(0).integers(0, len(hits), (1000, len(hits)))
    found = make_estimate(float(hits.mean()), hits[draws].mean(1), len(hits))
    return _row(name, metric, found.value, found.n, (found.low, found.high))


def _row(name: str, metric: str, value: float, n: int, interval: tuple[float, float], note: str = "") -> ResultRow:
    low, high = (round(each, 6) for each in interval)
    return ResultRow(work=name, metric=metric, value=round(value, 6), low=low, high=high, n=n, note=note)


if __name__ == "__main__":
    main()
