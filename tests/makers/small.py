"""A small parser that nobody trained, its golden answers, and packages around modules that are compiled from it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import torch

from compile.lowering.buckets import make_buckets
from compile.lowering.export import export_entries
from compile.lowering.import_mlir import import_programs
from compile.lowering.iree_compile import STRIP_FLAGS, compile_module
from compile.verify.golden import GoldenSet, make_golden
from compile.verify.reference import Oracle
from makers.shared import share_file
from pqrnn.model.parser import ParserModel
from pqrnn.recipes.settings import ModelConfig, ProjectionConfig
from runtime_py.decode.labels import Labels
from runtime_py.device.preflight import this_machine
from runtime_py.package_format.golden import save_golden
from runtime_py.package_format.manifest import (
    ANY,
    VULKAN,
    Bucket,
    Golden,
    Manifest,
    Model,
    Producer,
    Variant,
    VulkanNeeds,
)
from runtime_py.package_format.package import new_package, seal

CONFIG = ModelConfig(
    projection=ProjectionConfig(word_features=512, ngram_features=512), bottleneck=64, state=24, layers=2
)
LABELS = Labels(("alarm", "music", "weather", "none"), ("O", "B-time", "I-time", "B-what", "I-what"))
# In several scripts, for texts that tests draw.
WORDS = (
    "wake",
    "me",
    "play",
    "some",
    "jazz",
    "rain",
    "tomorrow",
    "seven",
    "कल",
    "im",
    "Haus",
    "ปลุกฉัน",
    "stop",
    "7:30",
)
BUCKETS = make_buckets([(4, 32), (16, 96)])
TEXTS = [
    "wake me at seven",
    "play some jazz in the kitchen please",
    "wie wird das Wetter morgen",
    "मुझे सात बजे जगाना",
    "ปลุกฉันตอนเจ็ดโมง",
]


def make_model(seed: int) -> ParserModel:
    """A model whose norms have statistics and whose logits are far enough apart."""
    torch.manual_seed(seed)
    model = ParserModel(CONFIG, len(LABELS.intents), len(LABELS.tags))
    with torch.no_grad():
        for name, value in [*model.named_buffers(), *model.named_parameters()]:
            if name.endswith("variance"):
                value.uniform_(0.2, 2.0)
            elif name.endswith(("mean", "bias")):
                value.add_(torch.randn_like(value) * 0.3)
        for head in (model.intent, model.tags):  # so that words decide, not biases
            head.weight.mul_(10.0)
    return model.eval()


def answer_golden(model: ParserModel, buckets: Sequence[Bucket] = BUCKETS) -> GoldenSet:
    """Golden answers of a folded model."""
    return make_golden(Oracle(model, buckets), [text.encode() for text in TEXTS], buckets)


def import_small(model: ParserModel, destination: Path, buckets: Sequence[Bucket] = BUCKETS, batch: int = 1) -> Path:
    """Write a folded model as MLIR."""
    weights = b"".join(value.numpy().tobytes() for value in model.state_dict().values())
    key = ("import", str(model), sha256(weights).hexdigest(), model.config, tuple(buckets), batch)
    made = share_file(
        "module.mlirbc", key, lambda path: import_programs(export_entries(model, buckets, batch=batch), path)
    )
    shutil.copyfile(made, destination)
    return destination


def compile_for(module: Path, *flags: str) -> bytes:
    """Compile MLIR; the flags name the machine."""
    made = share_file(
        "module.vmfb",
        ("compile", sha256(module.read_bytes()).hexdigest(), flags),
        lambda path: compile_module(module, path, (*flags, *STRIP_FLAGS)),
    )
    return made.read_bytes()


def cpu_flags(cpu: str) -> tuple[str, ...]:
    """Flags for a processor of this architecture."""
    return (
        "--iree-hal-target-device=local",
        "--iree-hal-local-target-device-backends=llvm-cpu",
        f"--iree-llvmcpu-target-cpu={cpu}",
    )


def vulkan_flags(target: str) -> tuple[str, ...]:
    """Flags for a GPU."""
    return ("--iree-hal-target-device=vulkan", f"--iree-vulkan-target={target}")


def cpu_variant(target: str = "host") -> Variant:
    """Describe code for this CPU."""
    return _variant(target, "local-sync", f"{this_machine().architecture}-unknown-linux-gnu", None)


def interpreted_variant(target: str = "vmvx") -> Variant:
    """Describe code for the runtime's interpreter."""
    return _variant(target, "local-sync", ANY, None)


def gpu_variant(target: str, **needs: object) -> Variant:
    """Describe code for a GPU; for what it needs see `VulkanNeeds`."""
    return _variant(target, VULKAN, ANY, VulkanNeeds(**needs))  # type: ignore[arg-type]


def _variant(target: str, device: str, triple: str, vulkan: VulkanNeeds | None) -> Variant:
    return Variant(
        target=target,
        device=device,
        triple=triple,
        cpu=ANY,
        features=[],
        path=f"variants/{target}/module.vmfb",
        flags=[],
        compile_seconds=1.0,
        parity=None,
        unverified_reason="a test",
        vulkan=vulkan,
    )


def write_package(
    destination: Path,
    golden: GoldenSet,
    pairs: Sequence[tuple[Variant, bytes]],
    buckets: Sequence[Bucket] = BUCKETS,
    batch: int = 1,
) -> Manifest:
    """Write a package of some modules with golden vectors."""
    manifest = Manifest(
        name="small",
        created="2026-01-01T00:00:00Z",
        producer=Producer(pqrnn="0", iree_compiler=this_machine().runtime, iree_turbine="0", torch="0"),
        model=Model(parameters=0, precision="float32", config={}),
        labels=LABELS,
        buckets=list(buckets),
        variants=[variant for variant, _ in pairs],
        golden=Golden(
            path="golden/golden.npz",
            texts=len(golden.vectors),
            words=len(golden.vectors.tags),
            tolerance=golden.tolerance,
        ),
        files={},
        batch=batch,
    )
    with new_package(destination, replace=True) as directory:
        (directory / "golden").mkdir()
        save_golden(directory / "golden" / "golden.npz", golden.vectors)
        for variant, code in pairs:
            path = directory / variant.path
            path.parent.mkdir(parents=True)
            path.write_bytes(code)
        return seal(directory, manifest)
