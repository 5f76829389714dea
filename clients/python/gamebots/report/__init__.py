"""The report of a load test: one self-contained HTML page with plots, for one run or for two side by side."""

from __future__ import annotations

from gamebots.report.page import write_page as write_page
