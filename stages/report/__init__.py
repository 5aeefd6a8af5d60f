"""The report: the results of all rounds as a page, plots, a table and metrics."""

from stages.report.report_files import compute_summary, show_report, write_page_with_times, write_report

__all__ = ["compute_summary", "show_report", "write_page_with_times", "write_report"]
