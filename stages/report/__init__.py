"""The report: the results of all rounds as a page, plots, a table and metrics."""

from stages.report.report_files import show_report, summarize_reports, write_page_with_times, write_report

__all__ = ["show_report", "summarize_reports", "write_page_with_times", "write_report"]
