"""The function that finds the parts of a transformer that are best for what they cost."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pqrnn.api.runs import PathLike
from pqrnn.errors import BudgetError
from pqrnn.recipes.budget_settings import BudgetRecipe
from pqrnn.recipes.recipes import settings_in

if TYPE_CHECKING:
    from pqrnn.checkpoint import Facts
    from pqrnn.data.examples import Example
    from pqrnn.model.budget import Budget
    from pqrnn.model.length_config import LengthConfig
    from pqrnn.model.network import Network


def budget(
    run: PathLike,
    data: str,
    *,
    recipe: BudgetRecipe | None = None,
    out: PathLike | None = None,
    lang: str | None = None,
    dev: str | None = None,
    dev_share: float = 0.1,
    on_generation: Callable[[int, int], None] = lambda done, total: None,
) -> list[Budget]:
    """Find the parts of a trained transformer that are best for what they cost, and store them with it.

    No weight changes. A package that is compiled from the parser then answers within any of these budgets.

    Args:
        run: Folder of the trained parser, best one trained with `adaptive`.
        data: Labelled utterances; the development split is used, never the test split.
        recipe: Settings of the search; by default those of `pqrnn budget`.
        out: Folder for a copy that has the budgets; by default they are stored in `run`.
        lang: Only these languages.
        dev: As for `train`.
        dev_share: As for `train`.
        on_generation: Is told of generations of the search done, and of all.

    Returns:
        The budgets, by rising cost; the last one is the whole network.

    Raises:
        CheckpointError: The parser cannot be read.
        DataError: There are no such data, or a file is wrong.
        BudgetError: The network has no parts, or `run` is a parser of the zoo and there is no `out`.
    """
    from pqrnn.checkpoint import save_checkpoint, save_facts
    from pqrnn.data.training_data import load_training_data
    from pqrnn.distillation.loading import load_teacher
    from pqrnn.zoo.shelf import ENTRY

    recipe, run = recipe or BudgetRecipe(), Path(run)
    if out is None and (run / ENTRY).is_file():
        raise BudgetError(f"{run}: a parser of the zoo, which stays as it is: name a folder for a copy with --out")
    network, known = load_teacher(run)
    if not network.adaptive_layers:
        raise BudgetError(
            f"{run}: its network reads every word in every layer, so it has one budget: train one with --network "
            "transformer --adaptive, or fine-tune an encoder of BERT's family with --adaptive"
        )
    examples = load_training_data(data, dev=dev, lang=lang, dev_share=dev_share).development
    found = _find(network, known, examples, recipe, on_generation)
    facts = msgspec.structs.replace(known, budgets=found)
    if out is None:
        save_facts(run, facts)
    else:
        save_checkpoint(Path(out), network, facts)
    return found


def _find(
    model: Network,
    facts: Facts[Any],
    examples: Sequence[Example],
    recipe: BudgetRecipe,
    on_generation: Callable[[int, int], None],
) -> list[Budget]:
    import torch

    from pqrnn.dataset.encoded import encode_examples
    from pqrnn.evaluation.budget_search import find_best, make_space
    from pqrnn.evaluation.frames import frame_of_example
    from pqrnn.evaluation.metrics import count_frames
    from pqrnn.evaluation.prediction import predict_encoded
    from pqrnn.model.budget import Budget
    from pqrnn.model.length_config import count_rows
    from pqrnn.model.macs import mean_macs
    from pqrnn.recipes.settings import TrainingConfig

    labels, table = facts.labels, model.make_table()
    with torch.inference_mode():
        dataset = encode_examples(examples, table, labels.intents, labels.tags)
    gold, decoder = [frame_of_example(example) for example in dataset.examples], labels.decoder()
    counts: dict[int, int] = {}
    for utterance in dataset.utterances:
        units = model.count_units(table, utterance.words)
        counts[units] = counts.get(units, 0) + 1
    cost = partial(mean_macs, model.count_macs, list(counts.items()))
    measured: dict[Hashable, float] = {}

    def quality(lengths: LengthConfig) -> float:
        # Parts that keep as many words of every text are the same.
        key = (lengths.skipped, *(count_rows(lengths, words) for words in sorted(counts)))
        if key not in measured:
            frames = predict_encoded(model, decoder, dataset, table, lengths)
            measured[key] = float(count_frames(gold, frames)[:, 0].mean())
        return measured[key]

    trained = settings_in(facts.training, TrainingConfig).adaptive
    space = make_space(model.adaptive_layers, trained, recipe.search)
    found = find_best(space, cost, quality, recipe.search, on_generation)
    limit = found[-1].cost
    return [
        Budget(
            lengths=candidate.lengths,
            macs=round(candidate.cost),
            share=round(candidate.cost / limit, 4),
            exact_match=round(candidate.quality, 6),
            utterances=len(gold),
        )
        for candidate in found
    ]
