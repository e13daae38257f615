"""LightGCN or SASRec trained by RecBole, its vectors after every epoch: run by benchmarks/training_speed.py in the
environment of RecBole.

Usage: python recbole_training.py MODEL DATA OUTPUT SETTINGS

DATA holds files as RecBole reads them: of LightGCN data.train.inter and data.valid.inter, of SASRec data.inter with
times, of which RecBole holds the last two items of each user out. Ids are numbers from 0. SETTINGS: JSON of `users`,
`items`, `threads`, `budget_s` (after so much training no epoch begins) and `config`, RecBole's own keys. OUTPUT gets
users-<epoch>.npy and items-<epoch>.npy, a row an id. The last line of output is JSON with the seconds of each stage.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

SEQUENTIAL = "SASRec"


def config_of(model: str, data: Path, given: dict[str, Any]) -> Any:
    columns = ["user_id", "item_id", *(["timestamp"] if model == SEQUENTIAL else [])]
    held_out = {
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
        "train_neg_sample_args": None,  # SASRec's cross-entropy is over all items
    }
    settings = {
        "data_path": str(data.parent),
        "load_col": {"inter": columns},
        "use_gpu": False,
        "show_progress": False,
        # RecBole asks for three files; the third is not looked at.
        **(held_out if model == SEQUENTIAL else {"benchmark_filename": ["train", "valid", "valid"]}),
        **given,
    }
    return Config(model=model, dataset=data.name, config_dict=settings)


def by_id(dataset: Any, field: str, vectors: torch.Tensor, rows: int) -> Any:
    """RecBole's row 0 is no id; zeros for ids that it does not know."""
    found = np.zeros((rows, vectors.shape[1]), dtype=np.float32)
    found[dataset.field2id_token[field][1:].astype(np.int64)] = vectors[1:].numpy()
    return found


@torch.no_grad()
def vectors_of(model: Any, dataset: Any, valid: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Of users and items in RecBole's numbering; a user's of SASRec is the state after all but the last two items."""
    model.eval()
    if not hasattr(model, "trm_encoder"):
        users, items = model.forward()
        return users, items
    states = torch.zeros(dataset.user_num, model.hidden_size)
    for interaction, *_ in valid:
        sequences = interaction[model.ITEM_SEQ], interaction[model.ITEM_SEQ_LEN]
        states[interaction[dataset.uid_field]] = model.forward(*sequences)
    return states, model.item_embedding.weight.detach()


def main(name: str, data: Path, output: Path, settings: dict[str, Any]) -> None:
    torch.set_num_threads(settings["threads"])
    os.chdir(output)  # RecBole writes its logs where it stands
    config = config_of(name, data, settings["config"])
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    train, valid, _ = data_preparation(config, dataset)
    started = time.perf_counter()
    model = get_model(name)(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    stages: list[dict[str, Any]] = [{"stage": "start", "seconds": time.perf_counter() - started}]
    trained_s = 0.0
    for epoch in range(config["epochs"]):
        if trained_s > settings["budget_s"]:
            break
        started = time.perf_counter()
        trainer._train_epoch(train, epoch)  # what trainer.fit takes the time of; fit would rank and save besides
        seconds = time.perf_counter() - started
        trained_s += seconds
        stages.append({"stage": f"epoch {epoch + 1}", "seconds": seconds, "interactions": len(train.dataset)})
        users, items = vectors_of(model, dataset, valid)
        np.save(output / f"users-{epoch + 1}.npy", by_id(dataset, dataset.uid_field, users, settings["users"]))
        np.save(output / f"items-{epoch + 1}.npy", by_id(dataset, dataset.iid_field, items, settings["items"]))
    sys.stdout.write("\n" + json.dumps({"stages": stages}) + "\n")


if __name__ == "__main__":
    model_name, data_folder, output_folder, settings_text = sys.argv[1:5]
    main(model_name, Path(data_folder).resolve(), Path(output_folder).resolve(), json.loads(settings_text))
