import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.accuracy import SEQUENCES, SPLIT, parser, plan_of, require_one_kind, run
from benchmarks.splits import cut_for_tuning, cut_last_for_tuning, leave_one_out, read_split
from recsys.errors import ConfigError, InputError
from tests.planted_tastes import USERS, held_out, taken_pairs


def written(path: Path, users: list[object], items: list[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"user_id": users, "item_id": items}), path)
    return path


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Path, Path]:
    """With text for ids: any will do."""
    users, items = ([f"id {number:02d}" for number in indexes] for indexes in taken_pairs())
    test_items = [f"id {held_out(user):02d}" for user in range(USERS)]
    test = written(tmp_path / "planted" / "test.parquet", [f"id {user:02d}" for user in range(USERS)], test_items)
    return written(tmp_path / "planted" / "train.parquet", users, items), test


def lines_of(text: str) -> dict[str, float]:
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(set(line) >= {"benchmark", "case", "value", "unit", "peer", "ratio"} for line in lines)
    return {line["case"]: line["value"] for line in lines}


def test_a_closed_form_model_finds_the_planted_tastes(
    planted: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    train, test = planted
    run(plan_of("ease", [], [7], is_quick=False), read_split(train, [test]), "planted/train", SPLIT)
    figures = lines_of(capsys.readouterr().out)
    assert figures["planted/train, ease, recall@20"] == 1.0
    assert figures["planted/train, ease, ndcg@20"] == 1.0
    assert set(figures) == {f"planted/train, ease, {name}" for name in ("recall@20", "ndcg@20", "fit", "rank")}


def test_seeds_give_a_mean_and_a_deviation(planted: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    train, test = planted
    overrides = ["model.dim=2", "model.negatives=8", "model.initial=random", "train.epochs=1", "train.batch_size=64"]
    run(plan_of("mf", overrides, [7, 8], is_quick=False), read_split(train, [test, test]), "planted", SPLIT)
    figures = lines_of(capsys.readouterr().out)
    assert 0 < figures["planted, mf, ndcg@20"] < 1
    assert figures["planted, mf, ndcg@20, deviation over 2 seeds"] > 0


def test_set_reaches_nested_keys_of_the_model_and_the_train_section() -> None:
    plan = plan_of("mf", ["model.loss.name=bpr", "model.dim=8", "train.epochs=3"], [7], is_quick=False)
    assert (plan.spec.config.loss.name, plan.spec.config.dim, plan.config.epochs) == ("bpr", 8, 3)
    assert plan.config.decay == "linear", "as conf/models/mf.yaml has it"
    assert plan_of("mf", [], [7], is_quick=True).config.epochs == 2


@pytest.mark.parametrize("override", ["dim=8", "model=8", "lake.root=x", "model.dim"])
def test_set_of_another_form_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r"--set takes model.key=value or train.key=value, got"):
        plan_of("mf", [override], [7], is_quick=False)


def test_an_unknown_model_is_refused() -> None:
    message = r"unknown model 'als'; known models of closed_form or factors or histories: \['bsarec', .*'mf'"
    with pytest.raises(ConfigError, match=message):
        plan_of("als", [], [7], is_quick=False)


def test_ids_are_numbered_over_all_files(tmp_path: Path) -> None:
    train = written(tmp_path / "t.parquet", [30, 10], [5, 7])
    split = read_split(train, [written(tmp_path / "x.parquet", [20], [6])])
    assert (split.users, split.items) == (3, 3)
    assert [indexes.tolist() for indexes in split.train] == [[2, 0], [0, 2]]
    assert [indexes.tolist() for indexes in split.others[0]] == [[1], [1]]


def test_a_cut_for_tuning_holds_out_by_hash_and_leaves_each_user_a_pair(tmp_path: Path) -> None:
    pairs = [(user, item) for user in range(40) for item in range(user % 4 + 1)]
    for name, ordered in (("there", pairs), ("back", pairs[::-1])):
        train = written(tmp_path / name / "train.parquet", [u for u, _ in ordered], [i for _, i in ordered])
        assert cut_for_tuning(train, tmp_path / name, percent=30, seed=7) == (72, 28)
    parts = {
        (name, part): {tuple(row.values()) for row in pq.read_table(tmp_path / name / f"{part}.parquet").to_pylist()}
        for name in ("there", "back")
        for part in ("tune_train", "tune_valid")
    }
    assert parts["there", "tune_valid"] == parts["back", "tune_valid"]
    assert parts["there", "tune_train"] | parts["there", "tune_valid"] == set(pairs)
    assert {user for user, _ in parts["there", "tune_train"]} == set(range(40))


def test_a_cut_of_the_last_rows_goes_by_the_file_and_leaves_each_user_a_pair(tmp_path: Path) -> None:
    pairs = [(1, 50), (2, 9), (1, 10), (3, 7), (1, 40), (1, 20), (3, 6), (1, 30)]
    train = written(tmp_path / "train.parquet", [user for user, _ in pairs], [item for _, item in pairs])
    assert cut_last_for_tuning(train, tmp_path, percent=30) == (5, 3)
    held_out = pq.read_table(tmp_path / "tune_valid.parquet").to_pylist()
    assert [tuple(row.values()) for row in held_out] == [(1, 20), (3, 6), (1, 30)]
    assert pq.read_table(tmp_path / "tune_train.parquet").to_pylist()[1] == {"user_id": 2, "item_id": 9}


def test_a_missing_file_and_a_missing_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t.parquet does not exist\. Cure: give the path"):
        read_split(tmp_path / "t.parquet", [])
    pq.write_table(pa.table({"user": [1]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"has 1 rows of \['user'\]; expected user_id, item_id"):
        read_split(tmp_path / "t.parquet", [])


def sequences(path: Path) -> Path:
    """User 1 took items 5, 6, 7 in that order, user 2 items 5, 7, and user 3 item 6 alone."""
    table = {"user_id": [1, 2, 1, 3, 2, 1], "item_id": [7, 5, 5, 6, 7, 6], "position": [2, 0, 0, 0, 1, 1]}
    pq.write_table(pa.table(table), path)
    return path


def test_the_last_item_of_each_user_with_two_or_more_is_the_test(tmp_path: Path) -> None:
    split = leave_one_out(sequences(tmp_path / "s.parquet"))
    assert (split.users, split.items) == (3, 3)
    assert [indexes.tolist() for indexes in split.others[0]] == [[0, 1], [2, 2]]
    assert [indexes.tolist() for indexes in split.train] == [[0, 0, 1, 2], [0, 1, 0, 1]]


def test_sequences_are_measured_by_hit_rate_and_ndcg_of_ten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = leave_one_out(sequences(tmp_path / "s.parquet"))
    run(plan_of("popular", [], [7], is_quick=False), split, "made", SEQUENCES)
    figures = lines_of(capsys.readouterr().out)
    # User 1 has one unseen item; user 2 has two, and the more popular one is not the last taken.
    assert figures["made, popular, hr@10"] == 1.0
    assert figures["made, popular, ndcg@10"] == pytest.approx((1 + 0.63093) / 2, abs=1e-5)


@pytest.mark.parametrize("arguments", [[], ["--train", "t"], ["--train", "t", "--test", "x", "--sequences", "s"]])
def test_one_kind_of_data_is_asked_for(arguments: list[str]) -> None:
    given = parser().parse_args(["--model", "mf", *arguments])
    with pytest.raises(ConfigError, match="give either --train and --test, or --sequences"):
        require_one_kind(given)


def ring(path: Path) -> Path:
    """User u takes 6 items of a ring of 12, from item u on."""
    rows = [(user, (user + position) % 12, position) for user in range(24) for position in range(6)]
    users, items, positions = (list(column) for column in zip(*rows, strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"user_id": users, "item_id": items, "position": positions}), path)
    return path


GRU = ["model.dim=8", "model.hidden=8", "model.negatives=0", "model.dropout=0.0", "train.batch_size=8",
       "train.learning_rate=0.05", "train.epochs=20"]  # fmt: skip


def test_a_network_of_histories_finds_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(plan_of("gru", GRU, [7], is_quick=False), leave_one_out(ring(tmp_path / "s.parquet")), "ring", SEQUENCES)
    figures = lines_of(capsys.readouterr().out)
    assert figures["ring, gru, validation ndcg@10"] > 0.9
    assert figures["ring, gru, ndcg@10"] > 0.9
    assert figures["ring, gru, hr@10"] == 1.0


def test_without_test_the_validation_alone_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of("gru", [*GRU, "train.epochs=1"], [7], is_quick=False)
    run(plan, leave_one_out(ring(tmp_path / "s.parquet")), "ring", SEQUENCES, is_tested=False)
    figures = lines_of(capsys.readouterr().out)
    names = ("validation hit_rate@10", "validation ndcg@10", "fit", "rank")
    assert set(figures) == {f"ring, gru, {name}" for name in names}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "gru", "--train", "t", "--test", "x"], r"gru learns from the order .*: give --sequences"),
        (["--model", "mf", "--sequences", "s", "--no-test"], r"--no-test is for .*'gru', .*for mf give --validation"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        require_one_kind(parser().parse_args(arguments))
