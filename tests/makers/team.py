"""What every process of a team does in `test_distributed.py`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from pqrnn.data.examples import Example, SlotSpan
from pqrnn.distillation import logit_store
from pqrnn.distillation.logit_store import StoreIndex, TeacherLogits, TransferText, read_logits, write_logits
from pqrnn.distillation.objective import DistillationObjective
from pqrnn.distributed import join_process_group, process_rank
from pqrnn.recipes.settings import DistillationConfig, ModelConfig, ProjectionConfig, TrainingConfig
from pqrnn.training import trainer
from pqrnn.training.trainer import train
from runtime_py.decode.labels import Labels

_LABELS = Labels(("dim", "off", "on"), ("O", "B-room", "I-room"))
# Without anything random within a step: what is left between one process and two is the order of sums.
_MODEL = ModelConfig(
    projection=ProjectionConfig(word_features=64, ngram_features=64),
    bottleneck=32,
    state=16,
    dropout=0.0,
    word_dropout=0.0,
    zoneout=0.0,
)
_CONFIG = TrainingConfig(epochs=3, batch=9, learning_rate=3e-3, patience=0, misspell=0.1)


def work(task: str, path: str) -> None:
    """Do a task in a folder, as one process of several."""
    torch.set_num_threads(1)
    join_process_group()
    folder = Path(path)
    if task == "label":
        _label_texts(folder)
    elif task == "train":
        _train(folder)
    elif task == "killed":
        trainer._SAVE_SECONDS = 0.0
        with suppress(KeyboardInterrupt):
            _train(folder, stop_after=8)
    elif task == "distill":
        _label_texts(folder / "logits")
        _train(folder, objective=DistillationObjective(read_logits(folder / "logits"), DistillationConfig()))
    elif task == "apart":  # every process with a folder of its own
        trainer._SAVE_SECONDS = 0.0
        if (folder / "0").exists():
            _train(folder / str(process_rank()))
        else:
            with suppress(KeyboardInterrupt):
                _train(folder / "0", stop_after=4)
    else:
        raise ValueError(task)


def _train(folder: Path, **options: object) -> None:
    train(folder, _examples(), _examples()[::3], _MODEL, _CONFIG, **options)  # type: ignore[arg-type]


def _examples() -> list[Example]:
    made = []
    for verb, intent in (("switch on", "on"), ("turn off", "off"), ("dim", "dim")):
        for room in ("kitchen", "hall", "living room", "cellar", "garage"):
            for pattern in ("{v} the {r} lights", "please {v} lights in the {r}", "{v} {r}"):
                text = pattern.format(v=verb, r=room)
                start = text.index(room)
                made.append(Example(text, intent, (SlotSpan("room", start, start + len(room)),)))
    made.append(Example("stop", "off"))
    return made


def _label_texts(folder: Path) -> StoreIndex:
    logit_store.SHARD = 8
    texts = []
    for source, example in enumerate(_examples()):
        words = tuple(example.text.encode().split())
        texts.append(TransferText(source, words, (0,) * len(words), _LABELS.intents.index(example.intent)))
        texts.append(TransferText(source, (*words, b"now"), None, -1))
    return write_logits(
        folder, texts, _answer, fingerprint="f", labels=_LABELS, teachers=["t"], utterances=len(_examples())
    )


def _answer(texts: Sequence[TransferText]) -> TeacherLogits:
    words = sum(len(text.words) for text in texts)
    generator = torch.Generator().manual_seed(len(texts) + texts[0].source)
    return TeacherLogits(torch.randn(len(texts), 3, generator=generator), torch.randn(words, 3, generator=generator))
