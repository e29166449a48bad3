"""Texts that would run as code, or break the page, if a page did not escape them."""

HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><script>alert(2)</script>",
    "a\u2028b\u2029c", "<!--<script>", "${alert(3)}", "{{ 7 * 7 }}", "'); alert(4); ('", "__proto__", "]]>",
    "&lt;b&gt;", "\0p\0a",
)  # fmt: skip
