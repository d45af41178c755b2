"""The README of a bundle: how to install, check and use it on the board, and what has been verified where."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence

from compile.kernels.advice import describe_kernels
from runtime_py.package_format.manifest import Manifest, Variant
from runtime_py.terminal import printable
from targets import Target, registry

_WIDTH = 110
_MOST_LAUNCHES = 20  # of own kernels, with entries for batches
_ASK = "python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'"
_PYTHON_WHEELS = ("x86_64", "aarch64", "arm64")  # processors that iree-base-runtime has wheels for


def board_note(
    manifest: Manifest,
    package: str,
    wheel: str,
    conformance: str,
    python: str = "",
    oldest: str = "3.11",
    signers: Sequence[str] = (),
) -> str:
    """Return the README as text.

    Args:
        manifest: Manifest of the package in the bundle.
        package: Name of the package's folder.
        wheel: Name of the wheel.
        conformance: Name of the conformance file.
        python: Version of the board's Python, such as "3.13"; empty where it is not known.
        oldest: Oldest version of Python that the wheel can be installed with.
        signers: Fingerprints of the keys that signed the package.
    """
    package, wheel = shlex.quote(package), shlex.quote(wheel)
    lines = [
        f"{manifest.name}: a text parser, compiled. UTF-8 text in, intent and slots out, offline.",
        "",
        f"  {package}   the parser: compiled code, labels, and texts with PyTorch's answers to check it with",
        f"  {wheel}   what runs it; needs no compiler and no PyTorch",
        f"  {conformance}   for a host in another language: texts and what it has to answer",
        "",
        f"INSTALL (Python {python or f'{oldest} or newer'}, 64-bit)",
        "",
        "  python3 -m venv ~/pqrnn        (on Debian and its children: sudo apt install python3-venv)",
        f"  ~/pqrnn/bin/pip install ./{wheel}",
        "",
        *_wrapped(
            "This fetches NumPy and iree-base-runtime (which brings ml-dtypes), and msgspec (0.2 MB without further "
            "dependencies), which reads the package's manifest strictly. A board without network: on another machine "
            + ("run" if python else "run the second of these lines, with what the first prints on the board as X.Y"),
            "  ",
        ),
        "",
        *([] if python else [f"    {_ASK}"]),
        *_download(manifest, wheel, python or "X.Y"),
        f"  and on the board:  ~/pqrnn/bin/pip install --no-index --find-links wheels ./{wheel}",
        "",
        "CHECK, MEASURE, PARSE",
        "",
        f"  ~/pqrnn/bin/pqrnn check {package}        does it answer right on this machine? exit code 1 if not",
        f"  ~/pqrnn/bin/pqrnn bench {package}        how fast, how large, on this machine",
        f'  ~/pqrnn/bin/pqrnn parse {package} "your text here"        or lines on standard input, --json for scripts',
        "",
        "  In Python:",
        "",
        "    from runtime_py import Parser",
        f'    parser = Parser.load("{package}")    # takes the best variant that this machine can run',
        '    parser("your text here")',
        "",
        *_wrapped(
            "To exchange the package, copy the new one beside it and rename both: mv OLD aside; mv NEW OLD. A parser "
            "that runs has its code in memory and goes on with it. Do not copy over the old one: whoever opens it "
            "meanwhile meets half of each. An update ('pqrnn diff OLD NEW' of the full distribution) does all of it: "
            f"pqrnn apply {package} UPDATE.",
            "  ",
        ),
        "",
        *(_signed(package, signers) if signers else []),
        "VARIANTS: what each needs, and what was proved where",
        "",
    ]
    for variant in manifest.variants:
        lines += [f"  {variant.target}", *_facts(variant, manifest), ""]
    lines += [
        *_wrapped(
            "What an emulator proves is that the answers are right, not how fast they come: run check and bench on the "
            "board. 'logits within' is the largest difference from PyTorch's answers, allowed are "
            f"{manifest.golden.tolerance:.1e}.",
            "  ",
        ),
        "",
        "ANOTHER LANGUAGE",
        "",
        *_wrapped(
            "The call is described in runtime_py/ABI.md inside the wheel (a zip file), with an example in C. A port "
            f"answers the texts of {conformance}, one JSON object a line; "
            f"'pqrnn conformance {package} --answers FILE' of the full distribution says what differs.",
            "  ",
        ),
        "",
    ]
    return printable("\n".join(lines), lines=True)


def _signed(package: str, signers: Sequence[str]) -> list[str]:
    """Return the section about signatures."""
    return [
        f"SIGNED by {', '.join(signer[:16] for signer in signers)}",
        "",
        "  ~/pqrnn/bin/pip install cryptography",
        f"  ~/pqrnn/bin/pqrnn verify {package} --key KEY.pub        with the signer's public key, from the signer",
        "",
        *_wrapped(
            "With PQRNN_REQUIRE_SIGNATURE=/path/to/KEY.pub in the environment, nothing else is loaded or applied.", "  "
        ),
        "",
    ]


def _facts(variant: Variant, manifest: Manifest) -> Iterator[str]:
    """Yield the lines about a variant: its needs, what to expect, its verification, and its known limits."""
    known = registry()
    target = known.get(variant.target) if variant.target in known.names() else None
    if target is not None:
        yield from _wrapped(f"for {target.summary}; needs {target.needs}", "    ")
    yield from _wrapped(
        f"code for {variant.triple}, {variant.cpu}; "
        f"CPU features: {' '.join(variant.features) or 'none beyond the baseline'}; device {variant.device}",
        "    ",
    )
    if target is not None:
        yield from _wrapped(_expectation(variant, manifest, target), "    ")
    yield from _wrapped(_proof(variant), "    ")
    reason = why_no_wheel(variant.triple)
    if reason:
        yield from _wrapped(f"NOT FROM PYTHON: {reason}", "    ")
    for limit in target.limits if target is not None else ():
        yield from _wrapped(f"known limit: {limit.text}{f' ({limit.link})' if limit.link else ''}", "    ")


def _expectation(variant: Variant, manifest: Manifest, target: Target) -> str:
    """Say what multiplies in a variant, by what was compiled: kernels can be left out (`--no-kernels`)."""
    integers, bits = manifest.model.precision == "int8", manifest.model.weight_bits
    precision = manifest.model.precision + (f" with weights of {bits} bits" if integers and bits != 8 else "")
    launches = (variant.dispatches or 0) / (len(manifest.buckets) * max(len(manifest.budgets), 1))
    if target.family == "cpu" and launches > _MOST_LAUNCHES:
        return f"in {precision}: the compiler's own code, some {launches:.0f} launches a text"
    return f"in {precision}: {describe_kernels(target, integers, bits)}"


def _proof(variant: Variant) -> str:
    parity = variant.parity
    if parity is None:
        return (
            f"UNVERIFIED, nobody has run this code: {variant.unverified_reason}. "
            "Run check on the board before you trust it."
        )
    where = f"{parity.emulator} on {parity.machine}" if parity.emulator else parity.machine
    largest = max(parity.intent_max_abs, parity.tags_max_abs)
    return (
        f"verified: {parity.texts} texts, {parity.words} words, {parity.repeats} times each, no decision differs, "
        f"logits within {largest:.1e}; run on {where}, {parity.runtime}, {parity.checked[:10]}"
    )


def why_no_wheel(triple: str) -> str:
    """Say why Python's runtime cannot be installed where a triple's code runs; empty where it can."""
    architecture = triple.split("-")[0]
    if "android" in triple:
        return (
            "there is no wheel of iree-base-runtime for Android's own Python; "
            "use the C interface (see below), or a Linux user land"
        )
    if triple == "any" or architecture in _PYTHON_WHEELS:
        return ""
    return (
        f"there is no wheel of iree-base-runtime for {architecture}; "
        "its C runtime has to be built from source, see below"
    )


def _download(manifest: Manifest, wheel: str, python: str) -> Iterator[str]:
    """Yield the commands that collect the wheels for a board without network."""
    machines = {variant.triple.split("-")[0] for variant in manifest.variants} & {"x86_64", "aarch64"}
    for machine in sorted(machines) or ["aarch64"]:
        yield (
            f"    pip download --dest wheels --only-binary=:all: --python-version {python} "
            f"--platform manylinux_2_28_{machine} ./{wheel}"
        )


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
