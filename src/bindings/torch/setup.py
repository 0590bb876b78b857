# SPDX-License-Identifier: Apache-2.0
"""Builds tutti_torch against the PyTorch that is installed and the libtutti that pkg-config finds."""
import os
import subprocess
import sys

from setuptools import Extension, setup

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from torchflags import Flags  # noqa: E402


def pkg_config(*arguments):
    try:
        return subprocess.run(
            ["pkg-config", *arguments, "tutti"], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        sys.exit("pkg-config does not find tutti: install it, or set PKG_CONFIG_PATH to the folder of tutti.pc")


flags = Flags()
folders = pkg_config("--variable=libdir")
setup(
    name="tutti_torch",
    version=pkg_config("--modversion")[0],
    description="Tutti as a backend of torch.distributed",
    license="Apache-2.0",
    packages=["tutti_torch"],
    ext_modules=[
        Extension(
            "tutti_torch._C",
            ["backend.cpp"],
            depends=["work.h", "tensors.h", "versions.h"],
            language="c++",
            define_macros=[*flags.definitions, ("TORCH_EXTENSION_NAME", "_C")],
            include_dirs=[*flags.includes, *pkg_config("--variable=includedir")],
            extra_compile_args=[f"-std={flags.standard}", "-fvisibility=hidden", "-g0"],
            library_dirs=[*flags.folders, *folders],
            runtime_library_dirs=folders,
            libraries=["tutti", *flags.libraries],
        )
    ],
)
