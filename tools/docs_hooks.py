"""What makes a site of the documentation's pages: they link to files outside of their folder."""

import os
import re
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PICTURE = re.compile(r"!\[([^\]]*)\]\(\.\./([^)]+)\)")
LINK = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)[^)]*\)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pictures."""
    for page in list(files.documentation_pages()):
        for _, target in PICTURE.findall(page.content_string):
            path = os.path.join(ROOT, target)
            files.append(File.generated(config, f"pictures/{target}", abs_src_path=path))
    return files


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Shows the pictures, and names other files, which the site does not have."""
    return LINK.sub(r"\1 (`\2`)", PICTURE.sub(r"![\1](pictures/\2)", markdown))
