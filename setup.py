"""The build of the compiled parts, which pyproject.toml cannot describe.

Without a C++ compiler, or on a processor other than x86-64, the package installs without the
kernels and decodes on torch's operations. Translations are the same, but slower, and only in
float32. Without a C++ compiler, `lingo prepare` also encodes each text with SentencePiece.
The subword ids are the same, but it takes some times as long.
"""

import platform

from setuptools import Extension, setup

_INSTRUCTIONS = ("f", "bw", "vl", "dq", "vnni", "bf16")

extensions = []
if platform.system() != "Windows":
    extensions.append(
        Extension(
            "lingo_model._words",
            ["lingo_model/native/words.cpp"],
            language="c++",
            optional=True,
            extra_compile_args=["-std=c++17", "-O3", "-g0"],
        )
    )
if platform.machine().lower() in ("x86_64", "amd64") and platform.system() != "Windows":
    extensions.append(
        Extension(
            "lingo_model._kernels",
            ["lingo_model/native/kernels.cpp", "lingo_model/native/training.cpp"],
            depends=["lingo_model/native/vectors.h"],
            language="c++",
            optional=True,
            # The code checks at run time that the processor supports these instructions. Without
            # -ffp-contract=off the compiler fuses products and sums in some copies of a function
            # but not in others, and the last bit of a row would depend on the number of rows.
            extra_compile_args=[
                *("-std=c++17", "-O3", "-g0", "-mfma", "-ffp-contract=off", "-Wno-uninitialized"),
                *(f"-mavx512{name}" for name in _INSTRUCTIONS),
            ],
        )
    )

setup(ext_modules=extensions)
