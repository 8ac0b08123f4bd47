"""`python tests/captures` prints a digest of every scene's capture, timeline and diagrams, one scene a line.

The same version prints the same text on every Python and under every PYTHONHASHSEED. With a FILE, it is compared with what was
written there before.
"""

import hashlib
import io
import sys
from pathlib import Path

from sansice.simulation import Capture, Story, scenes, simulate

SEEDS = (0, 1)


def digest(scene, seed):
    """Of everything that is written about one run."""
    file, story = io.BytesIO(), Story()
    with Capture(file, comment=scene.name) as capture:
        run = simulate(scene, seed=seed, observers=[capture, story])
    nodes = run.world.nodes
    parts = (file.getvalue(), story.timeline(nodes).encode(), story.diagram(nodes).encode(), story.svg(nodes).encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def digests():
    """All of them: a line for each scene."""
    return [" ".join([scene.name, *(digest(scene, seed) for seed in SEEDS)]) for scene in scenes().values()]


def main(arguments):
    """Print them; or, with a file, compare with what it holds, and write it where it is not there yet."""
    lines = digests()
    if not arguments:
        print(*lines, sep="\n")
        return 0
    file = Path(arguments[0])
    if not file.exists():
        file.write_text("\n".join(lines))
        return 0
    others = [line for line in file.read_text().split("\n") if line not in lines]
    for line in others:
        print(f"{line.split()[0]}: not what it was when {file} was written")
    return int(bool(others))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
