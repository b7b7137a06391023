"""Marian's commands, in its own environment.

    python run_marian.py FOLDER COMMAND ...

make_models.py writes the log to FOLDER.log.
"""

import sys

import _pymarian

sys.exit(_pymarian.main(sys.argv[2:]))
