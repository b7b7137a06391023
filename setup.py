"""The one part of the build that pyproject.toml cannot say: the compiled kernels, if possible.

Without a C++ compiler, or on another processor than x86-64, the package installs without them and
decodes on torch's operations: the same translations, more slowly, in the exact tier alone.
"""

import platform

from setuptools import Extension, setup

_INSTRUCTIONS = ("f", "bw", "vl", "dq", "vnni", "bf16")

extensions = []
if platform.machine().lower() in ("x86_64", "amd64") and platform.system() != "Windows":
    extensions.append(
        Extension(
            "lingo_model._kernels",
            ["lingo_model/native/kernels.cpp", "lingo_model/native/training.cpp"],
            depends=["lingo_model/native/vectors.h"],
            language="c++",
            optional=True,
            # The instructions are used only after the processor was asked for them. Without
            # -ffp-contract=off the compiler fuses products and sums in one copy of a function and
            # not in another, and a row's last bit would depend on the number of rows.
            extra_compile_args=[
                *("-std=c++17", "-O3", "-g0", "-mfma", "-ffp-contract=off", "-Wno-uninitialized"),
                *(f"-mavx512{name}" for name in _INSTRUCTIONS),
            ],
        )
    )

setup(ext_modules=extensions)
