"""What every process of a team does in `test_distributed.py`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from makers.threads import list_threads, threads_that_stay
from pqrnn.data.examples import Example, SlotSpan
from pqrnn.distillation import logit_store
from pqrnn.distillation.logit_store import StoreIndex, TeacherLogits, TransferText, read_logits, write_logits
from pqrnn.distillation.objective import DistillationObjective
from pqrnn.distributed import all_gather, average_gradients, broadcast_weights, process_group, process_rank
from pqrnn.model import losses
from pqrnn.recipes.settings import DistillationConfig, ModelConfig, ProjectionConfig, TrainingConfig
from pqrnn.training import artifacts, step, trainer
from pqrnn.training.reporting import TrainingOutcome, TrainingReporter
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
    before = set(list_threads())
    with process_group():
        _do(task, Path(path))
    # A thread of the team's connections that outlives it can abort the process at its end.
    assert not (left := threads_that_stay(before)), f"threads that outlive the team: {left}"


def _do(task: str, folder: Path) -> None:
    tasks: dict[str, Callable[[Path], object]] = {
        "label": _label_texts,
        "train": _train,
        "killed": _train_and_be_killed,
        "distill": _distill,
        "apart": _train_apart,
        "stopped": _stop_one,
        "ended": _end_one,
        "diverged": _diverge,
        "broken": _break_leader,
        "gradients": _average_gradients,
    }
    tasks[task](folder)


def _train_and_be_killed(folder: Path) -> None:
    trainer._SAVE_SECONDS = 0.0
    with suppress(KeyboardInterrupt):
        _train(folder, stop_after=8)


def _distill(folder: Path) -> None:
    _label_texts(folder / "logits")
    _train(folder, objective=DistillationObjective(read_logits(folder / "logits"), DistillationConfig()))


def _train_apart(folder: Path) -> None:
    """Every process with a folder of its own."""
    trainer._SAVE_SECONDS = 0.0
    if (folder / "0").exists():
        _train(folder / str(process_rank()))
    else:
        with suppress(KeyboardInterrupt):
            _train(folder / "0", stop_after=4)


def _stop_one(folder: Path) -> None:
    """One is told to stop: all stop after the same step."""
    at = _At(5, lambda: signal.raise_signal(signal.SIGINT) if process_rank() == 1 else None)
    with suppress(KeyboardInterrupt):
        _train(folder, reporter=at)
    sys.stdout.write(f"{process_rank()} stopped after step {at.last}\n")


def _end_one(folder: Path) -> None:
    """One is told to end early: all keep the same epoch."""
    at = _At(13, lambda: signal.raise_signal(signal.SIGUSR1) if process_rank() == 1 else None)
    sys.stdout.write(f"{_train(folder, reporter=at).ended}\n")


def _diverge(folder: Path) -> None:
    step.joint_loss = lambda *arguments: losses.joint_loss(*arguments) * float("nan")
    _train(folder)


def _break_leader(folder: Path) -> None:
    """The leader fails alone, while the others go on."""
    if process_rank() == 0:
        artifacts.save_state = _fail
    _train(folder)


def _average_gradients(folder: Path) -> None:
    layers = torch.nn.ModuleList(torch.nn.Linear(2, 1, bias=False) for _ in range(3))
    broadcast_weights(layers)
    assert len(set(all_gather(tuple(layers[0].weight.tolist()[0])))) == 1
    layers[0](torch.tensor([2.0, 4.0])).sum().backward()
    if process_rank() == 1:
        layers[1](torch.tensor([6.0, 8.0])).sum().backward()
    average_gradients(layers)
    assert layers[0].weight.grad.tolist() == [[2.0, 4.0]]
    assert layers[1].weight.grad.tolist() == [[3.0, 4.0]]
    assert layers[2].weight.grad is None  # an optimizer leaves it alone


class _At(TrainingReporter):
    """Does something after a step, and keeps the last one."""

    def __init__(self, number: int, action: Callable[[], None]) -> None:
        self._number, self._action, self.last = number, action, 0

    def step(self, done: int, loss: float) -> None:
        self.last = done
        if done == self._number:
            self._action()


def _fail(*_: object) -> None:
    raise OSError(28, "No space left on device")


def _train(folder: Path, **options: object) -> TrainingOutcome:
    return train(folder, _examples(), _examples()[::3], _MODEL, _CONFIG, **options)  # type: ignore[arg-type]


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
