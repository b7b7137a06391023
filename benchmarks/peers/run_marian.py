"""Marian's commands, in its own environment: the folder for the log, then its command line."""

import sys

import _pymarian

sys.exit(_pymarian.main(sys.argv[2:]))
