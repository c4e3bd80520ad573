"""`python -m tests.release 1.2.3` prints what the changelog says of a release.

It ends with an error when the package has another version, or the changelog has no such section.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes(version: str, changelog: str, packaged: str) -> str:
    """The text under `## <version>`, which a date may follow. Raises `ValueError`."""
    if packaged != version:
        raise ValueError(f"pyproject.toml has version {packaged}, not {version}: correct one.")
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    for section in sections:
        title, _, text = section.partition("\n")
        if title.split()[0].strip("[]") == version:
            if not text.strip():
                break
            return text.strip() + "\n"
    raise ValueError(f"CHANGELOG.md says nothing of {version}: name its section `## {version}`.")


def main() -> None:
    """Print them, or why not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    try:
        text = notes(sys.argv[1], (ROOT / "CHANGELOG.md").read_text(), project["version"])
    except ValueError as error:
        sys.exit(str(error))
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
