# SPDX-License-Identifier: Apache-2.0
"""What a build has to know of the PyTorch of this Python. As a program: one fact per line, for meson.build.

The flags must be those that PyTorch itself was built with: with another "build ABI" of pybind11 an extension loads, and
then takes none of torch's objects.
"""
import contextlib
import io
import logging
import os
import sys


class Flags:
    def __init__(self):
        logging.disable(logging.WARNING)  # of a missing CUDA, which is no concern here
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            import torch
            import torch.distributed
            import torch.utils.cpp_extension as extension
        if not torch.distributed.is_available():
            raise ImportError("this torch has no torch.distributed")
        names = ("COMPILER_TYPE", "STDLIB", "BUILD_ABI")
        values = [(name, getattr(torch._C, "_PYBIND11_" + name, None)) for name in names]
        self.version = torch.__version__
        self.standard = "c++20" if self.number() >= (2, 9) else "c++17"
        self.definitions = [("_GLIBCXX_USE_CXX11_ABI", str(int(torch._C._GLIBCXX_USE_CXX11_ABI)))]
        self.definitions += [(f"PYBIND11_{name}", f'"{value}"') for name, value in values if value]
        self.definitions += [("TORCH_API_INCLUDE_EXTENSION_H", "1")]
        self.includes = [path for path in extension.include_paths() if os.path.isdir(path)]
        self.libraries = ["torch_python", "torch", "torch_cpu", "c10"]
        self.folders = extension.library_paths()

    def number(self):
        return tuple(int(part) for part in self.version.split(".")[:2])


def main():
    try:
        flags = Flags()
    except Exception as error:
        sys.exit(f"no usable torch: {error}")
    print(flags.version)
    print(flags.standard)
    print("|".join(f"-D{name}={value}" for name, value in flags.definitions))
    for facts in (flags.includes, flags.folders, flags.libraries):
        print("|".join(facts))


if __name__ == "__main__":
    main()
