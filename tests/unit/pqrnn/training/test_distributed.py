"""Two processes learn and label what one does; killed, they go on; one that is alone says so."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
import torch
from makers.forks import start_fork
from makers.team import work

from pqrnn.checkpoint import load_checkpoint
from pqrnn.distributed import all_gather, all_reduce, broadcast, is_leader, join_process_group, share_items, world_size
from pqrnn.errors import TrainingError
from pqrnn.features.utf8 import pack_texts
from pqrnn.model.losses import IGNORED, Totals, distillation_loss, joint_loss

pytestmark = pytest.mark.slow

_ROUNDING = 2e-3  # of logits that spread by 0.1


def _run(size: int, task: str, folder: Path, expect: int = 0) -> str:
    """Run a task in so many processes; return what they said."""
    with socket.socket() as reserved:
        # Held until the end, so that nobody else is given the port before the leader listens there, which it may since
        # both say that they share it.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        forks = [
            start_fork(
                work,
                task,
                folder,
                environment={
                    "RANK": str(rank),
                    "WORLD_SIZE": str(size),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                    "OMP_NUM_THREADS": "1",
                },
            )
            for rank in range(size)
        ]
        done = [fork.wait(300) for fork in forks]
    said = "\n".join((process.stdout + process.stderr).decode() for process in done)
    assert {process.returncode for process in done} == {expect}, said
    return said


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    _run(1, "train", folder)
    return folder


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("three")
    _run(3, "train", folder)
    return folder


def _assert_same_run(folder: Path, other: Path) -> None:
    """The answers up to float32's rounding in another order of sums, and losses and scores of every epoch.

    Not the weights: where a norm follows, the gradient of a bias is nothing but rounding, and Adam makes steps of it.
    """
    texts = pack_texts([b"please dim the lights in the hall", b"stop", b"switch on the living room lights now"], 48)
    found, expected = (load_checkpoint(run).model(texts, 8) for run in (folder, other))
    torch.testing.assert_close(found.intent, expected.intent, rtol=0.0, atol=_ROUNDING)
    torch.testing.assert_close(found.tags, expected.tags, rtol=0.0, atol=_ROUNDING)
    lines = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (folder, other)]
    assert len(lines[0]) == len(lines[1]) == 3
    for mine, yours in zip(*lines, strict=True):
        assert mine["loss"] == pytest.approx(yours["loss"], rel=1e-3)
        assert mine["dev"]["exact_match"]["value"] == pytest.approx(yours["dev"]["exact_match"]["value"], abs=0.07)


def test_several_processes_learn_what_one_does(alone: Path, three: Path) -> None:
    """Also where the last batch has fewer utterances than there are processes: 46 in batches of 9 leave 1."""
    _assert_same_run(three, alone)
    assert sorted(path.name for path in three.iterdir() if path.is_file()) == [
        "checkpoint.json",
        "curves.png",
        "log.jsonl",
        "model.safetensors",
    ]


def test_a_killed_team_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    _run(2, "train", tmp_path / "whole")
    _run(2, "killed", tmp_path / "parts")
    assert not (tmp_path / "parts" / "checkpoint.json").exists()
    _run(2, "train", tmp_path / "parts")
    assert (tmp_path / "parts" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()
    assert (tmp_path / "parts" / "log.jsonl").read_bytes() == (tmp_path / "whole" / "log.jsonl").read_bytes()


def test_a_team_of_which_one_is_told_to_stop_stops_after_the_same_step(three: Path, tmp_path: Path) -> None:
    """And goes on to the weights that it would have had: sums over three have the same order after a stop."""
    said = _run(3, "stopped", tmp_path)
    assert sorted(re.findall(r"(\d) stopped after step (\d+)", said)) == [(str(rank), "5") for rank in range(3)]
    _run(3, "train", tmp_path)
    for name in ("model.safetensors", "log.jsonl"):
        assert (tmp_path / name).read_bytes() == (three / name).read_bytes()


def test_a_team_of_which_one_is_told_to_end_early_keeps_the_best_epoch(tmp_path: Path) -> None:
    assert _run(2, "ended", tmp_path).split() == ["ended", "early"] * 2
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_a_team_whose_loss_is_no_number_stops_at_once_in_all_processes(tmp_path: Path) -> None:
    said = _run(2, "diverged", tmp_path, expect=1)
    assert said.count("DivergenceError: ") >= 2 and "step 1: the loss is nan" in said
    assert not (tmp_path / "checkpoint.json").exists()


def test_a_process_whose_leader_fails_says_so_and_does_not_abort(tmp_path: Path) -> None:
    said = _run(2, "broken", tmp_path, expect=1)
    assert "No space left on device" in said
    assert "TeamError: process 1 of 2: another one has ended" in said


def test_gradients_that_only_some_have_are_averaged_and_those_of_nobody_stay_away(tmp_path: Path) -> None:
    _run(2, "gradients", tmp_path)


def test_a_team_labels_the_same_lessons_and_learns_the_same_from_them(tmp_path: Path) -> None:
    _run(1, "distill", tmp_path / "one")
    _run(2, "distill", tmp_path / "two")
    shards = sorted(path.name for path in (tmp_path / "one" / "logits").iterdir())
    assert len(shards) == 13  # 92 texts in shards of 8, and the index
    for name in shards:
        mine, yours = ((tmp_path / team / "logits" / name).read_bytes() for team in ("two", "one"))
        assert json.loads(mine) == json.loads(yours) if name.endswith("json") else mine == yours
    _assert_same_run(tmp_path / "two", tmp_path / "one")


def test_a_team_labels_what_is_missing(tmp_path: Path) -> None:
    _run(2, "label", tmp_path)
    index = (tmp_path / "lessons.json").read_bytes()
    lost = {
        name: (tmp_path / name).read_bytes() for name in ("00003.safetensors", "00004.safetensors", "00011.safetensors")
    }
    kept = (tmp_path / "00005.safetensors").stat().st_mtime_ns
    for name in lost:
        (tmp_path / name).unlink()
    _run(2, "label", tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in lost} == lost
    assert (tmp_path / "00005.safetensors").stat().st_mtime_ns == kept
    assert json.loads((tmp_path / "lessons.json").read_bytes()) == json.loads(index)


def test_processes_that_do_not_share_a_folder_are_told(tmp_path: Path) -> None:
    _run(2, "apart", tmp_path)
    assert "a folder that all share" in _run(2, "apart", tmp_path, expect=1)


def test_a_process_alone_is_a_team_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    join_process_group()
    assert world_size() == 1 and is_leader()
    assert broadcast({"a": 1}) == {"a": 1} and all_gather(3) == [3]
    assert share_items([1, 2, 3]).items == [1, 2, 3]
    value = torch.ones(2)
    assert all_reduce(value) is value


def test_a_process_that_misses_the_others_says_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TrainingError, match="start all by torchrun"):
        join_process_group()


def test_the_mean_of_the_shares_losses_is_the_loss_of_the_whole() -> None:
    """Shares of unlike sizes, one of them without a known intent."""
    torch.manual_seed(0)
    intent, tags = torch.randn(5, 4), torch.randn(5, 3, 6)
    intents, words = torch.tensor([1, 2, IGNORED, 3, IGNORED]), torch.randint(0, 6, (5, 3))
    words[1, 2] = words[4, 1] = IGNORED
    mask, targets = torch.ones(5, 3, 1), (torch.randn(5, 4), torch.randn(5, 3, 6))
    totals = Totals(5 / 2, 3 / 2)
    shares = [[0, 1, 3], [2, 4]]
    hard = [joint_loss(intent[s], tags[s], intents[s], words[s], 0.1, 2.0, totals) for s in shares]
    soft = [
        distillation_loss(intent[s], tags[s], targets[0][s], targets[1][s], mask[s], 2.0, 3.0, totals) for s in shares
    ]
    assert float(sum(hard)) / 2 == pytest.approx(float(joint_loss(intent, tags, intents, words, 0.1, 2.0)), rel=1e-5)
    assert float(sum(soft)) / 2 == pytest.approx(
        float(distillation_loss(intent, tags, *targets, mask, 2.0, 3.0)), rel=1e-5
    )
