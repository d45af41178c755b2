"""What a manifest says that was measured of a variant: a replay of the golden vectors, and certificates."""

from typing import Annotated

from msgspec import Meta, Struct

from runtime_py.decode.labels import Count, Name
from runtime_py.package_format.file_entry import END, Positive, Sha256, Text


class Parity(Struct, frozen=True, forbid_unknown_fields=True):
    """Outcome of a replay of the golden vectors through one variant on a real or emulated device.

    Attributes:
        passed: Whether every answer was right.
        texts: Number of texts that were replayed.
        words: Number of words in them.
        repeats: How often each text was run.
        tolerance: Largest absolute difference that was allowed of a logit.
        intent_max_abs: Largest absolute difference of an intent's logit.
        tags_max_abs: Largest absolute difference of a tag's logit.
        intent_flips: Number of texts with another intent.
        tag_flips: Number of words with another tag.
        count_mismatches: Number of texts with another number of words.
        span_mismatches: Number of words with other bytes.
        not_finite: Number of logits that are infinite or no number.
        all_zero: Number of outputs that hold nothing but zeros.
        not_deterministic: Number of texts with other answers when they were run again.
        machine: The machine that ran the code.
        runtime: Version of the IREE runtime.
        checked: Time of the replay (UTC).
        failures: What was wrong, in words.
        reference: Differences of other computations from the vectors, by name, for comparison.
        emulator: The emulator and what it emulated; empty where ``machine`` itself ran the code.
        decision_flips: Number of texts with another intent or other slots, by name; 0 before schema 1.5.
    """

    passed: bool
    texts: Count
    words: Count
    repeats: Positive
    tolerance: Annotated[float, Meta(gt=0)]
    intent_max_abs: Annotated[float, Meta(ge=0)]
    tags_max_abs: Annotated[float, Meta(ge=0)]
    intent_flips: Count
    tag_flips: Count
    count_mismatches: Count
    span_mismatches: Count
    not_finite: Count
    all_zero: Count
    not_deterministic: Count
    machine: Text
    runtime: Text
    checked: Text
    failures: list[Text] = []
    reference: dict[Text, float] = {}
    emulator: Text = ""
    decision_flips: Count = 0


class Certificate(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was measured of a variant, on which machine, and for which files that holds.

    It fits a package whose module, labels, frames and golden vectors have these digests
    (`runtime_py.package_format.certificates`); anywhere else it says nothing.

    Attributes:
        artifact: SHA-256 of the variant's module.
        labels: Digest of labels, frames and counts of frames (`runtime_py.package_format.decisions`).
        golden: SHA-256 of the golden vectors.
        made_by: What made it: ``build`` or ``check``.
        checked: Time of the measurement (UTC).
        machine: The machine that ran the code, for people.
        architecture: Architecture of the process, which may be emulated.
        device: The runtime's device, and the GPU with its driver if it is one.
        emulator: The emulator and what it emulated; empty where the machine itself ran the code.
        versions: Versions of what ran, by name.
        texts: Number of texts that were answered, golden ones and those of the reference.
        reference: SHA-256 of the reference file; empty where there was none.
        data: Fingerprint of the labelled utterances in it; empty where there was none.
        figures: What was measured, by name; shares are fractions of 1.
        goals: The goals that were met, by name.
    """

    artifact: Sha256
    labels: Sha256
    golden: Sha256
    made_by: Annotated[str, Meta(pattern=rf"^(build|check){END}")]
    checked: Name
    machine: Text
    architecture: Name
    device: Name
    emulator: Text = ""
    versions: dict[Text, Text]
    texts: Positive
    reference: Text = ""
    data: Text = ""
    figures: dict[Text, float] = {}
    goals: dict[Text, float] = {}
