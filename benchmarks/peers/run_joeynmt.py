"""JoeyNMT's training, in its own environment.

    python run_joeynmt.py FOLDER

Reads: FOLDER/config.yaml.
"""

import sys
from pathlib import Path

from joeynmt.config import load_config
from joeynmt.helpers import make_model_dir
from joeynmt.helpers_for_ddp import get_logger
from joeynmt.training import train

config = load_config(Path(sys.argv[1]) / "config.yaml")
make_model_dir(Path(config["model_dir"]), overwrite=True)
get_logger("", log_file=str(Path(config["model_dir"]) / "train.log"))
train(rank=0, world_size=0, cfg=config, skip_test=True)
