"""All templates, from the YAML files of this folder."""

from importlib.resources import files

import yaml

from stages.common.school.template import Template


def _read_story(text: str) -> tuple[str | tuple[str, ...], ...]:
    """Sentences a line each; adjacent lines that begin with ~ come in any order."""
    parts: list[str | tuple[str, ...]] = []
    for line in text.splitlines():
        if not line.startswith("~"):
            parts.append(line)
        elif parts and isinstance(parts[-1], tuple):
            parts[-1] = (*parts[-1], line[1:])
        else:
            parts.append((line[1:],))
    return tuple(parts)


def _read_templates() -> tuple[Template, ...]:
    """In the order of files and names."""
    found = []
    for file in sorted(files(__name__).iterdir(), key=lambda path: path.name):
        if file.name.endswith(".yaml"):
            for name, item in yaml.safe_load(file.read_text(encoding="utf-8")).items():
                story, steps = _read_story(item.pop("story")), tuple(item.pop("steps").splitlines())
                found.append(Template(name, story=story, steps=steps, **item))
    return tuple(found)


TEMPLATES = _read_templates()
