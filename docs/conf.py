"""The guide's settings: `python -m nox -s docs` builds it. Nothing is fetched, and no GPU is needed."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "convbench"
author = "the authors of convbench"
version = release = version_of("convbench")

extensions = ["myst_parser", "sphinx.ext.autodoc", "plain_docstrings", "command_line", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False

html_theme = "pydata_sphinx_theme"
html_sidebars: dict[str, list[str]] = {"index": [], "tutorial": []}
html_title = f"convbench {release}"
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_theme_options = {
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 5,
    "footer_start": [],
    "footer_end": ["sphinx-version"],
}
