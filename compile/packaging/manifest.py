"""Stage 5: the manifest of a compiled parser."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import msgspec

from compile.parts import Part
from compile.plan import Plan
from compile.verify.golden import GoldenSet
from runtime_py.package_format.decisions import DECISIONS_PATH
from runtime_py.package_format.manifest import (
    Bucket,
    Golden,
    Manifest,
    Model,
    Producer,
    Tokenizer,
    Variant,
    VulkanNeeds,
)

if TYPE_CHECKING:
    from pqrnn.checkpoint import Facts

GOLDEN_PATH = "golden/golden.npz"
_PENDING = "not run yet"


def module_path(target: str) -> str:
    """Return the path of a target's module in a package."""
    return f"variants/{target}/module.vmfb"


def describe_variant(
    plan: Plan, seconds: float, dispatches: int | None = None, vulkan: VulkanNeeds | None = None
) -> Variant:
    """Describe a compiled module that has not been run yet.

    Args:
        plan: Target that the module was compiled for.
        seconds: Time that compiling took.
        dispatches: Number of launches of generated code in all entries, if it is known.
        vulkan: Needs of a module for Vulkan; None for other modules.
    """
    return Variant(
        target=plan.target.id,
        device=plan.device,
        triple=plan.processor.triple,
        cpu=plan.processor.cpu,
        features=list(plan.processor.features),
        path=module_path(plan.target.id),
        flags=list(plan.flags),
        compile_seconds=round(seconds, 3),
        parity=None,
        unverified_reason=_PENDING,
        vulkan=vulkan,
        dispatches=dispatches,
        development=plan.target.development,
    )


def describe_package(
    name: str,
    facts: Facts[Any],
    parameters: int,
    buckets: Sequence[Bucket],
    variants: Sequence[Variant],
    golden: GoldenSet,
    batch: int = 1,
    checkpoint: str = "",
    tokenizer: Tokenizer | None = None,
    parts: Mapping[str, Part] | None = None,
    golden_of_parts: Mapping[str, GoldenSet] | None = None,
) -> Manifest:
    """Describe a package; the digests of its files are filled in when it is sealed.

    Args:
        name: Name of the package, for people.
        facts: Facts of the checkpoint.
        parameters: Number of parameters of the model as shipped.
        buckets: Length buckets, in rising order.
        variants: Variants in the package.
        golden: Golden vectors of the package.
        batch: Number of texts in a call of the entries for several texts; 1 if there are no such entries.
        checkpoint: SHA-256 of the weights.
        tokenizer: How words become subwords; None for a parser that reads bytes.
        parts: Parts of the network with functions of their own, the whole one last, by name.
        golden_of_parts: Golden vectors of those parts, without the whole one.
    """
    vectors = golden_of_parts or {}
    return Manifest(
        name=name,
        created=describe_time(),
        producer=describe_producer(),
        model=Model(
            parameters=parameters,
            precision=getattr(facts.config, "precision", "float32"),
            config=msgspec.to_builtins(facts.config),
            revision=facts.revision,
            data_fingerprint=str(facts.data.get("train", "")),
            metrics=dict(facts.metrics),
            checkpoint=checkpoint,
        ),
        labels=facts.labels,
        buckets=list(buckets),
        variants=list(variants),
        golden=_describe_golden(golden, GOLDEN_PATH, DECISIONS_PATH),
        files={},
        batch=batch,
        tokenizer=tokenizer,
        calibration=facts.calibration,
        budgets=[
            part.describe(
                name,
                _describe_golden(vectors[name], f"golden/{name}.npz", f"golden/{name}.json")
                if name in vectors
                else None,
            )
            for name, part in (parts or {}).items()
        ],
    )


def _describe_golden(golden: GoldenSet, path: str, decisions: str) -> Golden:
    bounds = golden.stored.tolerances
    assert bounds is not None
    return Golden(
        path=path,
        texts=len(golden.vectors),
        words=len(golden.vectors.tags),
        tolerance=float(bounds.max()),
        basis=f"{golden.basis}; plus half a step of the stored logits, at most a sixteenth of that",
        decisions=decisions,
    )


def describe_time() -> str:
    """Return the time (UTC), or that of SOURCE_DATE_EPOCH for builds that have to be repeatable."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    time = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now(UTC)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def describe_producer() -> Producer:
    """Return the versions of what makes a package here."""
    return Producer(
        pqrnn=_version("pqrnn"),
        iree_compiler=_version("iree-base-compiler"),
        iree_turbine=_version("iree-turbine"),
        torch=_version("torch"),
    )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "0+unknown"  # run from the sources, not installed
